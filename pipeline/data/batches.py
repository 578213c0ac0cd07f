"""Which cases make up each batch, as a function of seed, epoch and rank alone."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from pipeline.distributed import rank, world_size
from pipeline.errors import UserError

Key = tuple[int, int, int]
"""What a training item depends on besides the seed: epoch, visit in the epoch, index."""


class EpochBatches(Sampler[list[Key]]):
    """Every case once an epoch, in an order that depends on seed and epoch alone.

    A batch is of one domain. Several domains take turns, one a step; an epoch ends when the longest
    has been through its cases, and a shorter one then visits its own again.

    Several ranks share each global batch of ``world_size * batch_size`` cases, so that two ranks
    with batch 1 see what one rank with batch 2 sees. The cases that ranks cannot share evenly sit
    out the epoch; which these are changes from epoch to epoch.

    Args:
        domains: of each case; all the same where there is one.
        batch_size: cases in a batch of one rank.
        seed: decides the order.

    Raises:
        UserError: a domain has fewer cases than there are ranks.
    """

    def __init__(self, domains: Sequence[str | None], batch_size: int, seed: int) -> None:
        self.members = [
            np.array([index for index, own in enumerate(domains) if own == domain])
            for domain in dict.fromkeys(domains)
        ]
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.first = 0
        fewest = min(len(members) for members in self.members)
        if fewest < world_size():
            raise UserError(
                f"{world_size()} processes train together and there are {fewest} training cases: "
                f"start at most {fewest} processes"
            )

    def __len__(self) -> int:
        """Batches of one rank in an epoch."""
        longest = max(len(members) // world_size() for members in self.members)
        return len(self.members) * -(-longest // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, first = self.epoch, self.first
        rounds = [self._of_domain(number, epoch) for number in range(len(self.members))]
        for step in range(len(self)):
            batch = next(rounds[step % len(rounds)])
            if step >= first:
                yield batch
        self.epoch, self.first = epoch + 1, 0

    def go_to(self, epoch: int, batch: int) -> None:
        """Go on with batch number ``batch`` of epoch ``epoch``, both counted from 0."""
        self.epoch, self.first = epoch, batch

    def _of_domain(self, number: int, epoch: int) -> Iterator[list[Key]]:
        members = self.members[number]
        shared, together = len(members) // world_size() * world_size(), world_size()
        visit = 0
        while True:
            order = np.random.default_rng([self.seed, epoch, visit, number]).permutation(members)
            for start in range(0, shared, self.batch_size * together):
                chunk = order[:shared][start : start + self.batch_size * together]
                yield [(epoch, visit, int(index)) for index in chunk[rank() :: together]]
            visit += 1
