"""AWS Batch: variables alone."""

from medlora.errors import ConfigError
from medlora.runtime.environment import Environment, Fact
from medlora.runtime.platforms.platform import Platform, by_variables
from medlora.runtime.topology_source import Claim, needed


def _nodes(environment: Environment) -> Claim | None:
    """Return what AWS Batch says of a multi-node job; its main node is told no address."""
    prefix = "AWS_BATCH_JOB_"
    if not {f"{prefix}NODE_INDEX", f"{prefix}NUM_NODES"} & environment.variables.keys():
        return None
    index = needed(environment, f"{prefix}NODE_INDEX", beside=f"{prefix}NUM_NODES")
    nodes = needed(environment, f"{prefix}NUM_NODES", beside=f"{prefix}NODE_INDEX", least=1)
    main = environment.number(f"{prefix}MAIN_NODE_INDEX") or Fact(0, "default")
    if main.value >= nodes.value:
        raise ConfigError(
            f"{main.source}: {main.value} is not one of {nodes.value} machines ({nodes.source})",
            fix="correct one of the two",
        )
    name = f"{prefix}MAIN_NODE_PRIVATE_IPV4_ADDRESS"
    address = environment.text(name)
    if address is None and index.value == main.value:
        address = Fact(environment.address, "own address: this is the main node")
    return Claim(
        node_rank=index,
        num_nodes=nodes,
        master_addr=address,
        main=main.value,
        address_name=name,
    )


AWS_BATCH = Platform(
    "aws-batch",
    "AWS Batch",
    by_variables("AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_NODE_INDEX", "AWS_BATCH_JOB_NUM_NODES"),
    grace_s=30,
    job="AWS_BATCH_JOB_ID",
    attempt="AWS_BATCH_JOB_ATTEMPT",
    nodes=_nodes,
)
