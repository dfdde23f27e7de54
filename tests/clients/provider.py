"""An identity provider: it signs tokens for OAUTHBEARER, and publishes its key."""

import json
import pathlib
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER, AUDIENCE = "https://login.example.net", "logs"


class Provider:
    """Signs tokens, and publishes its key."""

    def __init__(self, kid: str = "one"):
        self.kid = kid
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> str:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]})

    def token(self, user: str = "ann", seconds: float = 300, **claims: object) -> str:
        now = time.time()
        body = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": int(now), "exp": now + seconds, "scope": "logs"}
        return jwt.encode({**body, **claims}, self.key, "RS256", {"kid": self.kid})


def trusting(jwks: pathlib.Path) -> str:
    """The line of a collector's `[kafka]` that takes tokens signed with the keys in this file."""
    return f'oauth = {{ jwks = "{jwks}", issuer = "{ISSUER}", audience = ["{AUDIENCE}"] }}'
