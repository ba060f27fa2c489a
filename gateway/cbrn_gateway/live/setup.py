"""The parts of the daemon that belong to one configuration, and their change to the next."""

from collections.abc import Callable

from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.buses import Buses
from cbrn_gateway.live.sinks import Sinks
from cbrn_gateway.pipeline.pipeline import Pipeline, StepOutput


class Setup:
    """One configuration in force: its pipeline, buses and sinks.

    `turn` has the pipeline judge all that has come in, `publish` takes what a change has to
    say; whoever else speaks of the configuration stands in `followers`.
    """

    def __init__(
        self,
        config: SiteConfig,
        pipeline: Pipeline,
        buses: Buses,
        sinks: Sinks,
        *,
        turn: Callable[[], None],
        publish: Callable[[StepOutput], None],
    ) -> None:
        self.config = config
        self.pipeline = pipeline
        self.buses = buses
        self.sinks = sinks
        self.followers: list[Callable[[SiteConfig], None]] = []
        self._turn = turn
        self._publish = publish
        buses.join(buses.plan(config.model.devices.values()).new)
        sinks.join(sinks.plan(config))

    async def change(self, config: SiteConfig) -> None:
        """Change to another configuration; buses and sinks that are equal in it go on.

        What a bus that ends has brought is judged as it was configured then. Until the
        pipeline has changed between two turns, a failure leaves everything as it was.

        Raises:
            ConfigError: a wire or a sink cannot be made as configured.
        """
        rewiring = self.buses.plan(config.model.devices.values())
        redelivery = self.sinks.plan(config)
        await self.buses.leave(rewiring.gone)
        try:
            self._swap(config)
        except BaseException:
            self.buses.join(rewiring.gone)
            raise
        self.buses.join(rewiring.new)
        await self.sinks.change(redelivery)

    def is_touched_by(self, config: SiteConfig) -> bool:
        """Return whether a bus or a sink would start anew, be it for another secret only.

        Raises:
            ConfigError: a wire or a sink cannot be made as configured.
        """
        rewiring = self.buses.plan(config.model.devices.values())
        return any((*rewiring, *self.sinks.plan(config)))

    def _swap(self, config: SiteConfig) -> None:
        self._turn()
        out = self.pipeline.reconfigure(config.model, config.policy)
        self.config = config
        for follow in self.followers:
            follow(config)
        self._publish(out)
