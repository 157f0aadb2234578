"""What tells a proxy without the filter from others: it has none of the filter's statistics."""

from __future__ import annotations

from rig import http
from rig.mesh import Solo, alone
from rig.monitoring import rules
from rig.process import Run, wait_for
from rig.sink import Sink


def test_the_statistics_go_with_the_filter(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, delivery="ecds", otherwise_pass=True)
    solo.driver.get(alone())
    solo.settle(sink.telemetry)

    def there(name: str) -> bool:
        return f"\n{name}{{" in http.request(solo.envoy.admin, "/stats/prometheus").text

    # What the alert tells proxies by.
    with_it, without_it = "spanmesh_config_rejected", "envoy_server_uptime"
    expression = rules("alert")["SpanmeshFilterNotLoaded"]["expr"]
    assert with_it in expression
    assert without_it in expression
    assert there(with_it)
    assert there(without_it)
    solo.envoy.lose_filter()
    wait_for(lambda: not there(with_it), "the filter's statistics have gone", 60)
    assert there(without_it)
    assert http.request(solo.envoy.inbound, "/stock").status == 200
