"""The cause of a failure, where a platform wants it in a file."""

from contextlib import suppress

from medlora.errors import MedloraError
from medlora.files import write_new
from medlora.runtime.current_platform import batch_service
from medlora.runtime.environment import Environment

LONGEST_CAUSE = 1000  # SageMaker shows the first 1,024 bytes


def report_failure(environment: Environment, cause: str) -> None:
    """Tell the platform why the job fails; the first of several workers is heard.

    Nothing happens elsewhere, and a file that cannot be written costs no exit code.

    Args:
        environment: where this is.
        cause: an error's own words, which hold no training text.
    """
    service = batch_service(environment)
    file = service.failure_file(environment) if service and service.failure_file else None
    if file:
        with suppress(MedloraError):
            write_new(file, cause[:LONGEST_CAUSE].encode())
