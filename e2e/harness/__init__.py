"""What the scenarios and the demo share: a cluster, the images, one installation of the operator, namespaces.

The cluster is the user's own where `$KUBECONFIG` is set, else the local one of `e2e.cluster`, which is started. Images
are built from this checkout for the local cluster; these variables name others, and a user's own cluster needs them:

- `SLMFLEET_OPERATOR_IMAGE`: the operator
- `SLMFLEET_NEXT_OPERATOR_IMAGE`: the operator with another pod template in `core/build`, for the upgrade scenario
- `SLMFLEET_SIMULATOR_IMAGE`: the engine's look-alike
- `SLMFLEET_ENGINE_IMAGE`: vLLM for CPUs, with a model of at most 2048 tokens in /models/tiny and an adapter
  of it, made for `tiny`, in /opt/adapters/legal
"""
