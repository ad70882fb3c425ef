"""A worker in plain Python: softmax regression on its own samples, for `model = "linear"`.

    pip install grpcio grpcio-tools numpy
    varangian serve experiments/served.toml --insecure --set model=linear --set momentum=0
    python net/examples/worker.py 127.0.0.1:7070 0        # and 1 and 2
"""

import sys
import tempfile
from pathlib import Path

import grpc
import numpy as np
from grpc_tools import protoc

here = Path(__file__).resolve().parent.parent / "proto"
with tempfile.TemporaryDirectory() as out:
    # A folder of its own, as workers that begin together would write over each other's.
    protoc.main(["", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", "ps.proto"])
    sys.path.insert(0, out)
    import ps_pb2 as ps
    import ps_pb2_grpc

address, number = sys.argv[1], int(sys.argv[2])
server = ps_pb2_grpc.ParameterServerStub(grpc.insecure_channel(address))
who = (("varangian-worker", str(number)),)

joined = server.Join(ps.JoinRequest(protocols=[1], agent="worker.py"), metadata=who)
assert joined.codec == ps.CODEC_F32 and not joined.asynchronous and joined.statistics == 0
(classes, inputs), _ = (tuple(tensor.shape) for tensor in joined.layout)

# Its own samples: ten noisy prototypes, the same for all workers.
prototypes = np.random.default_rng(0).normal(size=(classes, inputs))
rng = np.random.default_rng(number)


def gradient(theta):
    """Of the mean cross-entropy of a fresh batch, and that loss."""
    w, b = theta[: classes * inputs].reshape(classes, inputs), theta[classes * inputs :]
    y = rng.integers(classes, size=32)
    x = prototypes[y] + rng.normal(size=(32, inputs))
    z = x @ w.T + b
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(32), y]).mean()
    p[np.arange(32), y] -= 1
    return np.concatenate([(p.T @ x / 32).ravel(), p.mean(0)]).astype("<f4"), float(loss)


def parts(header, body):
    yield ps.PushRequest(header=header)
    for start in range(0, len(body), joined.chunk_bytes):
        yield ps.PushRequest(chunk=body[start : start + joined.chunk_bytes])


version, losses = 0, []
while True:
    replies = server.Pull(ps.PullRequest(run=joined.run, version=version), metadata=who)
    header, *chunks = replies
    header = header.header
    if header.finished:
        break
    if header.not_modified or header.not_sampled:
        continue
    row, loss = gradient(np.frombuffer(b"".join(c.chunk for c in chunks), "<f4"))
    losses.append(loss)
    body = row.tobytes()
    push = ps.PushHeader(
        run=joined.run, version=header.version, number=header.version, bytes=len(body), loss=loss
    )
    receipt = server.Push(parts(push, body), metadata=who)
    assert receipt.admitted, receipt
    version = header.version + 1
print(f"worker {number}: {len(losses)} messages, loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last")
