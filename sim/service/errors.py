"""What the service refuses, as errors that carry their HTTP status.

ServiceError
├── NotFound      404  no such project, product, version, plan, device
├── Conflict      409  a name is taken, or the state of the thing forbids it
├── Refused       422  the request is understood and not allowed by a rule
├── TooLarge      413  more bytes than the console accepts
└── StoreFailing  503  the store cannot be written (disk full); nothing is acknowledged meanwhile
"""

from __future__ import annotations

from sim.errors import FotasimError


class ServiceError(FotasimError):
    """Base of what the service answers with an error status."""

    status = 500


class NotFound(ServiceError):
    """There is no such thing."""

    status = 404


class Conflict(ServiceError):
    """A name is taken, or the state of the thing forbids it."""

    status = 409


class Refused(ServiceError):
    """The request breaks a rule."""

    status = 422


class TooLarge(ServiceError):
    """More bytes than are accepted."""

    status = 413


class StoreFailing(ServiceError):
    """The store cannot be written."""

    status = 503
