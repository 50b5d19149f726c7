"""The model bucket: what is published there, and how a folder gets there so that it counts only when it is whole."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from clayline.model.manifest import MANIFEST_FILE, Manifest, read_manifest
from publish.errors import PublishError
from publish.folder import FolderFile, ModelFolder
from publish.tokens import refuse_lost_tokens, refuse_second_digests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODELS: Final = "models/"
"""The prefix that template.yaml's Model hands to SageMaker as the uncompressed model, and below which plan reads
manifests."""
REGISTRY: Final = "registry/"
"""Reports that the registry points to: not under ``models/``, because every directory there must be a whole model
folder."""
_PART: Final = 64 * 1024 * 1024
"""Bytes of a part of a large upload."""
_DIGEST: Final = "sha256"
_TYPES: Final = {".json": "application/json", ".md": "text/markdown; charset=utf-8"}

Progress = Callable[[FolderFile, int], None]
"""Told of a file and how many of its bytes are there; 0 when it starts, its size at once when it was there already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Uploaded:
    """What an upload did."""

    uri: str
    """``s3://bucket/models/{folder}/``."""
    sent: tuple[str, ...]
    """Files that were not there yet, in the order in which they were sent."""
    kept: tuple[str, ...]
    """Files that were there with the same digest."""


class ModelBucket:
    """One model bucket, over a boto3 S3 client."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def uri(self, key: str) -> str:
        """Give ``s3://bucket/key``."""
        return f"s3://{self._name}/{key}"

    def published(self) -> dict[str, Manifest]:
        """Give every manifest under ``models/``, by URI. Raises ModelError for one that cannot be read."""
        folders = [
            prefix["Prefix"]
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=MODELS, Delimiter="/"
            )
            for prefix in page.get("CommonPrefixes", [])
        ]
        found = {}
        for folder in folders:
            if stored := self._get(folder + MANIFEST_FILE):
                found[self.uri(folder + MANIFEST_FILE)] = read_manifest(
                    stored[0], source=self.uri(folder + MANIFEST_FILE)
                )
        return found

    def check_tokens(self, folder: ModelFolder) -> None:
        """Raise ModelError if the folder gives a token another digest, or lacks an entry that was published."""
        published = self.published()
        refuse_second_digests(folder.manifest, published)
        uri = self.uri(f"{MODELS}{folder.manifest.folder}/{MANIFEST_FILE}")
        if old := published.get(uri):
            refuse_lost_tokens(folder.manifest, old, uri=uri)

    def upload(self, folder: ModelFolder, *, progress: Progress) -> Uploaded:
        """Send what is not there yet, the manifest last: plan reads it, so the folder is published by that one write.

        Running again sends only what is missing. Raises ModelError (see ``check_tokens``, or a file changed meanwhile),
        PublishError.
        """
        self.check_tokens(folder)
        prefix = f"{MODELS}{folder.manifest.folder}/"
        sent, kept = [], []
        for file in folder.files:
            if self._has(prefix + file.name, file):
                progress(file, file.size)
                kept.append(file.name)
            else:
                self._send(prefix + file.name, file, progress)
                sent.append(file.name)
        for file in (*folder.files, folder.manifest_file):
            file.check_unchanged()
        if self._commit(prefix + MANIFEST_FILE, folder):
            progress(folder.manifest_file, 0)
            sent.append(MANIFEST_FILE)
        else:
            kept.append(MANIFEST_FILE)
        progress(folder.manifest_file, folder.manifest_file.size)
        return Uploaded(uri=self.uri(prefix), sent=tuple(sent), kept=tuple(kept))

    def put_report(self, key: str, content: Mapping[str, Any]) -> str:
        """Write a report under ``registry/``, and give its URI.

        Its key names its content, so writing it again changes nothing.
        """
        body = json.dumps(content, indent=1, sort_keys=True).encode()
        self._client.put_object(
            Bucket=self._name, Key=REGISTRY + key, Body=body, ContentType="application/json", ChecksumAlgorithm="SHA256"
        )
        return self.uri(REGISTRY + key)

    def _has(self, key: str, file: FolderFile) -> bool:
        try:
            head = self._client.head_object(Bucket=self._name, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004 - HTTP's not found; HEAD has no body with a code
                return False
            raise
        return head["ContentLength"] == file.size and head.get("Metadata", {}).get(_DIGEST) == file.digest

    def _send(self, key: str, file: FolderFile, progress: Progress) -> None:
        # S3 refuses a part whose SHA-256 is not the one sent with it. For parts it keeps the hash of their hashes, so
        # the file's own digest goes along as metadata.
        arguments = {**_arguments(file), "ChecksumAlgorithm": "SHA256"}
        done, lock = 0, threading.Lock()

        def count(step: int) -> None:  # called by the threads that send the parts
            nonlocal done
            with lock:
                done += step
                progress(file, done)

        progress(file, 0)
        config = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=4)
        try:
            self._client.upload_file(
                str(file.path), self._name, key, ExtraArgs=arguments, Callback=count, Config=config
            )
        except S3UploadFailedError as error:
            msg = (
                f"{file.path} could not be sent: {error}. Run the command again: files that are there are not sent"
                " twice."
            )
            raise PublishError(msg) from error

    def _commit(self, key: str, folder: ModelFolder) -> bool:
        """Write the manifest if it is not there.

        Over an older one only if that is still the one whose tokens were compared.
        """
        body = folder.manifest_file.path.read_bytes()
        stored = self._get(key)
        if stored and stored[0] == body:
            return False
        if stored:
            old = read_manifest(stored[0], source=self.uri(key))
            refuse_second_digests(folder.manifest, {self.uri(key): old})
            refuse_lost_tokens(folder.manifest, old, uri=self.uri(key))
        condition: dict[str, Any] = {"IfMatch": stored[1]} if stored else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(
                Bucket=self._name,
                Key=key,
                Body=body,
                ChecksumAlgorithm="SHA256",
                **_arguments(folder.manifest_file),
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}:
                msg = (
                    f"{self.uri(key)} was written by somebody else at this moment: run the command again, which"
                    " compares with theirs"
                )
                raise PublishError(msg) from error
            raise
        return True

    def _get(self, key: str) -> tuple[bytes, str] | None:
        """Give an object's bytes and ETag; None if there is none."""
        try:
            answer = self._client.get_object(Bucket=self._name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return answer["Body"].read(), answer["ETag"]


def _arguments(file: FolderFile) -> dict[str, Any]:
    return {"Metadata": {_DIGEST: file.digest}, "ContentType": _TYPES.get(file.path.suffix, "application/octet-stream")}
