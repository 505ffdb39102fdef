"""When the guard's Secret has to be made: the operator may create Secrets, but neither read, list nor change them.

So nobody can look whether it is there, and it must not be asked at each reconcile either. It is made before a
Deployment that does not mount it yet, and made again when a pod cannot start for want of it.
"""

from collections.abc import Iterable

from .build.guard import guard_names, guard_secret, secret_of
from .names import Names
from .types import Config, Manifest


def missing_secret(
    names: Names, template: Manifest, deployment: Manifest | None, answers: Iterable[str], config: Config
) -> Manifest | None:
    """The Secret that `template` mounts, unless it must be there; `answers` are the kubelet's words about pods.

    None for a Secret of another key than today's, too: nobody can make that one again.
    """
    name = secret_of(template)
    if name is None or name != guard_names(names, {}, config.key).secret:
        return None
    mounted = deployment is not None and secret_of(deployment["spec"]["template"]) == name
    missed = any(f'"{name}" not found' in answer for answer in answers)
    return guard_secret(names, name, config.key) if missed or not mounted else None
