"""Addresses with secrets in them, and what may be kept and shown of each."""

from typing import Final

_JWT: Final = "eyJhbGci.eyJzdWIi.SECRET"

#: By what is given. Each secret is, or holds, the word SECRET.
ADDRESSES: Final = {
    # User information, of any scheme.
    "https://me:SECRET@h.example:8443/m?sig=SECRET#x": "https://h.example:8443/m",
    "https://SECRET@h.example/m": "https://h.example/m",
    " https://me:SECRET@h.example/m?sig=SECRET": "https://h.example/m",
    "https:/me:SECRET@h.example/m": "https:/h.example/m",
    "https:///me:SECRET@h.example/m": "https:///h.example/m",
    "https://me%3ASECRET%40h.example/m": "https://h.example/m",
    "https://me%253ASECRET%2540h.example/m": "https://h.example/m",
    "https://me:SECRET?SECRET@h.example/m": "https://…",
    "https://me:SECRET/SECRET@h.example/m": "https://…",
    "https://me:12/SECRET@h.example/m": "https://…",
    "https://me:SECRET@/SECRET@h.example/m": "https://…",
    "https://me:SECRET]:/@h.example/m": "https://…",
    "git+https://SECRET@h.example/r.git": "git+https://h.example/r.git",
    "ftp://me:SECRET@h.example/m": "ftp://h.example/m",
    "sftp://SECRET@h.example/m": "sftp://h.example/m",
    "s3://SECRET@bucket": "s3://bucket",
    "s3://AKIA:SECRET@bucket/key?versionId=1": "s3://bucket/key",
    "gs://SECRET@bucket/m": "gs://bucket/m",
    "az://SECRET@container/m": "az://container/m",
    "abfss://me:SECRET@account.dfs.core.windows.net/m": "abfss://account.dfs.core.windows.net/m",
    "hf://me:SECRET@org/name": "hf://org/name",
    "hf://SECRET@org/name@main": "hf://org/name@main",
    "hf://SECRET@host:80/m": "hf://host:80/m",
    "hf://hf_SECRETxxxxxxxxxxxxxxxxxxxxxxxxxxxxx@org/name": "hf://org/name",
    "ollama://me:SECRET@llama3:8b": "ollama://llama3:8b",
    "ollama://SECRET@registry.example/library/llama3:8b": "ollama://registry.example/library/llama3:8b",
    "anything://SECRET@place/m": "anything://place/m",
    # Queries that sign, of all clouds; and fragments.
    "https://b.s3.amazonaws.com/m?X-Amz-Credential=a%2Fb&X-Amz-Signature=SECRET": "https://b.s3.amazonaws.com/m",
    "https://storage.googleapis.com/b/m?X-Goog-Signature=SECRET": "https://storage.googleapis.com/b/m",
    "https://acc.blob.core.windows.net/c/m.bin?sv=2022&sig=SECRET%2Bx": "https://acc.blob.core.windows.net/c/m.bin",
    "https://cdn.example/m?Policy=a&Signature=SECRET&Key-Pair-Id=b": "https://cdn.example/m",
    "https://h.example/m#access_token=SECRET": "https://h.example/m",
    "s3://bucket/m#access_token=SECRET": "s3://bucket/m",
    "file:///models/m?token=SECRET": "file:///models/m",
    # The same, encoded into a path.
    "https://h.example/m.bin%3Ftoken%3DSECRET": "https://h.example/m.bin",
    "https://h.example/m.bin%3ftoken=SECRET/SECRET%3D": "https://h.example/m.bin",
    "https://h.example/m.bin%253Ftoken%253DSECRET": "https://h.example/m.bin",
    "https://h.example/m.bin%3F%74oken%3DSECRET": "https://h.example/m.bin",
    "https://h.example/m.bin%23access_token%3DSECRET": "https://h.example/m.bin",
    "https://b.s3.amazonaws.com/m%3FX-Amz-Credential%3Da%26X-Amz-Signature%3DSECRET": "https://b.s3.amazonaws.com/m",
    "https://acc.blob.core.windows.net/c/m%3Fsv%3D2022%26sig%3DSECRET": "https://acc.blob.core.windows.net/c/m",
    "https://oss.example/m%3FOSSAccessKeyId%3DSECRET%26Signature%3DSECRET": "https://oss.example/m",
    "s3://bucket/m%3Ftoken%3DSECRET": "s3://bucket/m",
    "hf://org/name%3Ftoken%3DSECRET": "hf://org/name",
    "https://h.example/m&token=SECRET": "https://h.example/…",
    # Segments of a path that let in.
    "https://h.example/s;jsessionid=SECRET/m.bin": "https://h.example/s;…/m.bin",
    "https://cdn.example/hdnts=exp=1~hmac=SECRET/m.bin": "https://cdn.example/…/m.bin",
    f"https://h.example/{_JWT}/m.bin": "https://h.example/…/m.bin",
    f"https://h.example/a%2F{_JWT}/m.bin": "https://h.example/…/m.bin",
    "https://h.example/glpat-SECRETxxxxxxxxxxxxxxx/m.bin": "https://h.example/…/m.bin",
    "https://objectstorage.x.oraclecloud.com/p/SECRETghijklmnopqrs/n/n1/b/b1/o/m": (
        "https://objectstorage.x.oraclecloud.com/p/…/n/n1/b/b1/o/m"
    ),
}

#: What holds no secret, though it looks a little as if: it stays as it is.
PLAIN: Final = (
    "https://h.example/m@v1/a=b.bin",
    "https://h.example:8443/m@v1",
    "https://[::1]:80/m",
    "https://h.example/what%3F.bin",
    "https://h.example/what%3Fversion%3D1.bin",
    "https://h.example/100%25%23.bin",
    "https://h.example/hf_model/ghost_model/eyJ.bin",
    "abfss://container@account.dfs.core.windows.net/m",
    "hf://gpt2@main",
    "hf://gpt2@refs/pr/1",
    "hf://org/name@main",
    "ollama://llama3:8b@sha256:ab",
    "s3://bucket/Ün 1 100%.txt",
    "file:///home/me@work/m%3F.bin",
    "file:/home/me@work/m",
    "/models/what?#",
    "/home/me@work/token=x",
    "org/name",
    "C:/models/me@work",
)
