"""All-reduce of f32 in place, by torch's gloo or by mpi4py: all_reduce.py KIND RANKS SIZES.

Prints the median milliseconds of each size in MiB as JSON; a round takes as long as its slowest rank.
"""

import json
import os
import socket
import subprocess
import sys
import time

WARMUPS, ROUNDS = 2, 7

kind, ranks, sizes = sys.argv[1], int(sys.argv[2]), [int(size) for size in sys.argv[3].split(",")]


def measure(fill, barrier, all_reduce, slowest, make):
    medians = {}
    for size in sizes:
        x = make(size * 2**18)
        times = []
        for turn in range(WARMUPS + ROUNDS):
            fill(x)
            barrier()
            start = time.perf_counter()
            all_reduce(x)
            seconds = slowest(time.perf_counter() - start)
            if turn >= WARMUPS:
                times.append(1e3 * seconds)
        medians[str(size)] = sorted(times)[ROUNDS // 2]
    return medians


def gloo(rank, port):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)

    def slowest(seconds):
        t = torch.tensor([seconds], dtype=torch.float64)
        dist.all_reduce(t, op=dist.ReduceOp.MAX)
        return t.item()

    medians = measure(lambda x: x.fill_(1e-3), dist.barrier, dist.all_reduce, slowest, torch.zeros)
    if rank == 0:
        print(json.dumps(medians), flush=True)
    dist.destroy_process_group()


def mpi():
    import numpy as np
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    medians = measure(
        lambda x: x.fill(1e-3),
        comm.Barrier,
        lambda x: comm.Allreduce(MPI.IN_PLACE, x),
        lambda seconds: comm.allreduce(seconds, op=MPI.MAX),
        lambda length: np.zeros(length, np.float32),
    )
    if comm.Get_rank() == 0:
        print(json.dumps(medians), flush=True)


if kind == "mpi":
    mpi()
elif len(sys.argv) > 4:
    gloo(int(sys.argv[4]), int(sys.argv[5]))
else:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    children = [
        subprocess.Popen([sys.executable, *sys.argv, str(rank), port], env=environment)
        for rank in range(ranks)
    ]
    sys.exit(max(child.wait() for child in children))
