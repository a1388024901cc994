"""`python -m tests.faults.unfenced <service> --role=worker`: a worker that does not ask whether it is the only one."""

from contextlib import nullcontext

from chassis import service
from services.__main__ import main

if __name__ == "__main__":
    service._only_worker = lambda _: nullcontext()  # type: ignore[assignment]
    main()
