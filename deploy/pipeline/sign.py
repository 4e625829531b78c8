"""`make sign`: a signature of the owner's where there is a key, and a word on what vouches."""

from __future__ import annotations

import os
import subprocess
import sys

from pipeline import github, names
from pipeline.errors import PipelineError, told

# With a key of one's own nothing is written to the public log: that would publish the names of
# private repositories. cosign 3 takes the three options together only.
OPTIONS = "--use-signing-config=false --new-bundle-format=false --tlog-upload=false".split()


def command(image: str) -> list[str]:
    """What signs an image, by digest; the key comes from the environment, not from the argv."""
    return ["cosign", "sign", "--yes", "--key", "env://COSIGN_PRIVATE_KEY", *OPTIONS, image]


def vouched(image: str, attestation: str, signed: bool) -> str:
    """The summary: what vouches for the image and how to check it, in Markdown."""
    owner = "/".join(image.split("@")[0].split("/")[1:])
    lines = [f"Published `{image}`."]
    if attestation:
        lines += [
            f"[Attested by GitHub]({attestation}); to check that:",
            f"`gh attestation verify oci://{image} --repo {owner}`",
        ]
    if signed:
        lines += [
            "Signed with the owner's key; to check that:",
            f"`cosign verify --insecure-ignore-tlog=true --key cosign.pub {image}`",
        ]
    if not attestation and not signed:
        lines += [
            "Nothing vouches for where it was built: GitHub attests public repositories (private "
            "ones on a paid plan: HOMEPORT_ATTEST = `true`), and there is no COSIGN_PRIVATE_KEY."
        ]
    return "\n\n".join(lines)


def main() -> int:
    """Signs where COSIGN_PRIVATE_KEY is set; reads REPOSITORY, DIGEST and ATTESTATION."""
    place = names.repository(os.environ.get("REPOSITORY", ""))
    image = f"{place}@{names.digest(os.environ.get('DIGEST', ''))}"
    signed = bool(os.environ.get("COSIGN_PRIVATE_KEY"))
    if signed:
        try:
            done = subprocess.run(command(image), capture_output=True, text=True, timeout=300)
        except FileNotFoundError:
            raise PipelineError(
                "The image is not signed.", "cosign is not here", "install cosign"
            ) from None
        except subprocess.TimeoutExpired:
            why = "cosign gave no answer within 300 s"
            raise PipelineError("The image is not signed.", why, "run this job again") from None
        if done.returncode:
            raise PipelineError(
                "The image is not signed.",
                done.stderr.strip()[-1000:],
                "the key and COSIGN_PASSWORD must be of one pair: cosign generate-key-pair",
            )
    text = vouched(image, os.environ.get("ATTESTATION", ""), signed)
    github.summary(text)
    github.say(text)
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
