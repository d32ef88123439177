"""The security profiles that requests may name."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

import security_profiles
from api.auth import Authenticated
from api.errors import responses
from models.security import SecurityProfile, named_profile
from models.settings import load_settings

router = APIRouter(
    prefix="/v1/profiles", tags=["profiles"], responses=responses(401, 403, 422, 503)
)


class OfferedProfile(SecurityProfile):
    """A profile and whether requests with this key may name it on this server."""

    enabled: bool
    restricted_python_imports: tuple[str, ...] = Field(
        description="What a program may import under RestrictedPython"
    )


class ProfileList(BaseModel):
    """All profiles, the strictest first."""

    items: tuple[OfferedProfile, ...]


@router.get("")
def profiles(caller: Authenticated) -> ProfileList:
    """List the profiles and their rules."""
    allowed = set(load_settings().allowed_profiles)
    if caller.permissions.profiles is not None:
        allowed &= caller.permissions.profiles
    return ProfileList(
        items=tuple(
            OfferedProfile(
                **named_profile(name).model_dump(),
                enabled=name in allowed,
                restricted_python_imports=security_profiles.get_profile(
                    name
                ).restricted_python_imports,
            )
            for name in security_profiles.PROFILE_NAMES
        )
    )
