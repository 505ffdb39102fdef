"""The demo: each step says what it does, what it ran and how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import OK
from json import dumps
from pathlib import Path

from e2e.cluster.console import ClusterError, Console
from e2e.harness.clients import CHAT, clients
from e2e.harness.cluster import Cluster, running
from e2e.harness.commands import CommandError
from e2e.harness.images import Images, NoImageError
from e2e.harness.installation import installed
from e2e.harness.namespace import ENGINE_SECONDS, PATIENCE_SECONDS, Namespace, condition_of
from e2e.harness.openai import Endpoint
from e2e.harness.waiting import NotYetError

NAMESPACE = "demo"
NAME = "tiny"
SCALED = "support"
LOAD_SECONDS = 15.0
PROMPT = "Say something about fleets."
ADAPTER = "legal"


class DemoError(Exception):
    """A step that went through and did not show what it is there to show."""


def main() -> int:
    """Run all steps; an error is one message that says what to do."""
    console = Console(stream=sys.stdout)
    try:
        with ExitStack() as stack:
            with _titled(console, "A Kubernetes cluster"):
                cluster = stack.enter_context(running(console))
            images = Images(cluster)
            with _titled(console, "Images: the operator, and vLLM 0.32 for CPUs with a tiny random Llama"):
                console.say(f"operator: {images.operator}")
                console.say(f"engine:   {images.engine}")
            with _titled(console, "The operator, from this checkout's Helm chart"):
                stack.enter_context(installed(cluster, images.operator))
            _show(cluster, "-n", "slmfleet-system", "get", "pods")
            _answer(cluster, images, console)
    except (ClusterError, CommandError, DemoError, NoImageError, NotYetError) as error:
        sys.stderr.write(f"\nThe demo stopped: {error}\n")
        return 1
    return 0


def _answer(cluster: Cluster, images: Images, console: Console) -> None:
    demo = Namespace(NAMESPACE, cluster, images)
    manifest = demo.filled((Path(__file__).parent / "manifest.yaml").read_text())
    with _titled(console, "An AcceleratorClass and an SLMDeployment"):
        _text(manifest)
        _make_namespace(cluster)
        _text(demo.kubectl("apply", "--server-side", "-f", "-", stdin=manifest))
    with _titled(console, "Until it answers (vLLM loads, compiles and warms up: about a minute on two cores)"):
        _follow(demo, console, "slm", NAME)
    _show(cluster, "-n", NAMESPACE, "get", "slm")
    _show(cluster, "-n", NAMESPACE, "describe", "slm", NAME)
    with _titled(console, f"A chat completion, streamed through the Service (prompt: {PROMPT!r})"):
        with demo.service(NAME) as service:
            for chunk in service.chat_stream(NAME, PROMPT, max_tokens=32):
                for choice in chunk["choices"]:
                    sys.stdout.write(choice["delta"].get("content") or "")
                    sys.stdout.flush()
        _text("\n(the weights are random, so the words are too)")
    _adapt(demo, console)
    _scale(demo, console)
    _text(_next_steps(cluster))


def _adapt(demo: Namespace, console: Console) -> None:
    """A LoRA adapter for the engine that runs, and the same prompt to the model and to its adapter."""
    manifest = (Path(__file__).parent / "adapter.yaml").read_text()
    with _titled(console, f"A LoRAAdapter, loaded into the engine of {NAME} while it runs"):
        _text(manifest)
        _text(demo.kubectl("apply", "--server-side", "-f", "-", stdin=manifest))
        _follow(demo, console, "lora", ADAPTER)
    _show(demo.cluster, "-n", NAMESPACE, "get", "lora")
    with _titled(console, "The same prompt to the model and to its adapter"), demo.service(NAME) as service:
        if _asked(service, NAME) == _asked(service, ADAPTER):
            raise DemoError(f'"model": "{ADAPTER}" is answered as "model": "{NAME}" is: its weights are not used')


def _asked(service: Endpoint, model: str) -> str:
    """The answer that needs no luck: at temperature 0 the same weights say the same."""
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 32, "temperature": 0}
    _text(f"$ curl http://{service.host}:{service.port}{CHAT} -H 'Content-Type: application/json' -d '{dumps(body)}'")
    status, answer = service.call("POST", CHAT, body)
    if status != OK:
        raise DemoError(f'"model": "{model}" is answered {status}: {answer}')
    content = str(answer["choices"][0]["message"]["content"])
    _text(f"{content}\n")
    return content


def _scale(demo: Namespace, console: Console) -> None:
    """Load on a fleet of the simulator, until its replicas have gone up and come back."""
    manifest = demo.filled((Path(__file__).parent / "scaling.yaml").read_text())
    with _titled(console, "A fleet that scales (of simulated engines: this machine has room for one real vLLM)"):
        _text(manifest)
        # The bound that an earlier demo patched is taken back.
        _text(demo.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest))
        demo.becomes_ready(SCALED)
    with _titled(console, f"Fourteen clients for {LOAD_SECONDS:.0f} s, four requests at a time for each engine"):
        with (
            demo.service(SCALED) as service,
            clients(service, SCALED, streaming=6, busy=6, idle=2, pause=0.1) as tally,
        ):
            _watch(demo, console, lambda ready, desired: ready == desired > 1)
            time.sleep(LOAD_SECONDS)
        console.say(str(tally))
    with _titled(console, "And back: by itself some six minutes after the load, at once where the bounds say so"):
        bound = '{"spec":{"scaling":{"maxReplicas":1}}}'
        _text(f"$ kubectl -n {NAMESPACE} patch slm {SCALED} --type=merge -p '{bound}'")
        demo.patch(SCALED, {"scaling": {"maxReplicas": 1}})
        _watch(demo, console, lambda ready, desired: ready == desired == 1)
    _show(demo.cluster, "-n", NAMESPACE, "describe", "slm", SCALED)


def _watch(demo: Namespace, console: Console, reached: Callable[[int, int], bool]) -> None:
    """Say each change of the replicas and why, until they are where they should be."""
    said = ""

    def looked() -> bool:
        nonlocal said
        status = demo.get("slm", SCALED)["status"]
        scaling = status.get("scaling") or {}
        ready, _, _ = status["ready"].partition("/")
        state = f"{status['ready']} replicas, {scaling.get('desired', '?')} wanted"
        why = scaling.get("changes", [{}])[0].get("message", "")
        if state != said:
            console.say(f"{state}  {why}")
            said = state
        return reached(int(ready), status["desiredReplicas"])

    demo.eventually(looked, f"the replicas of {SCALED} follow the load", PATIENCE_SECONDS)


def _make_namespace(cluster: Cluster) -> None:
    labels = "pod-security.kubernetes.io/enforce: restricted"
    manifest = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}, labels: {{{labels}}}}}\n"
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=manifest)


def _follow(demo: Namespace, console: Console, kind: str, name: str) -> None:
    """Say each new state once, until Ready."""
    said = ""

    def ready() -> bool:
        nonlocal said
        found = demo.get(kind, name)
        condition = condition_of(found, "Ready")
        state = f"{found['status']['phase']}: {condition.message}"
        if state != said:
            console.say(state)
            said = state
        return condition.status == "True"

    demo.eventually(ready, f"{name} is Ready", within=ENGINE_SECONDS)


def _next_steps(cluster: Cluster) -> str:
    longer = '{"spec":{"engine":{"maxModelLen":99999}}}'
    steps = [
        f"kubectl -n {NAMESPACE} scale slm {NAME} --replicas=0",
        f"kubectl -n {NAMESPACE} patch slm {NAME} --type=merge -p '{longer}'   # too long; then describe",
        "kubectl explain slm.spec",
    ]
    if cluster.local:
        steps.insert(0, 'eval "$(.venv/bin/python -m e2e.cluster env)"   # kubectl and helm of this cluster')
    steps.append("make cluster-down" if cluster.local else f"kubectl delete namespace {NAMESPACE}")
    return "\nGo on from here:\n" + "\n".join(f"  {step}" for step in steps)


@contextmanager
def _titled(console: Console, title: str) -> Iterator[None]:
    _text(f"\n== {title}")
    began = time.monotonic()
    yield
    console.say(f"done in {time.monotonic() - began:.1f} s")


def _show(cluster: Cluster, *arguments: str) -> None:
    _text(f"\n$ kubectl {' '.join(arguments)}")
    _text(cluster.kubectl(*arguments).stdout)


def _text(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
