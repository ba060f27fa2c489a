import pytest
from unit.alarms.square import INDICATIVE, Square, channel, site_model, station

from cbrn_core.alarm import AlarmKind, Basis, Priority, Reason
from cbrn_core.place import Fix
from cbrn_core.units import Unit
from cbrn_fusion.counting import poisson_limit
from cbrn_gateway.alarms.policy import load_policy

DAY_S = 86_400


def gamma(name="g3/gamma", **fields):
    known = {"lod": None, "sigma": None, "period_s": 1.0}
    return channel(name, "gamma_dose_rate", **{**known, **fields})


def counts(name="g3/gamma", factor=0.003, **fields):
    known = {"lod": None, "sigma": None, "period_s": 1.0, "counting": True}
    return channel(name, "gamma_count_rate", usv_h_per_cps=factor, **{**known, **fields})


def fixed(*channels, jurisdiction=None):
    return Square(site_model(list(channels)), load_policy(jurisdiction=jurisdiction))


def mobile(one):
    return Square(site_model([one], [station(one.station, mobile=True)]))


def hold(square, value, seconds, start=0, name="g3/gamma", **fields):
    for second in range(start, start + seconds):
        square.radiation(name, second, value, **fields)


def specific(square):
    return [a for a in square.published if a.condition.key.kind is AlarmKind.SPECIFIC]


def evolving(square):
    return [a for a in square.published if a.condition.key.kind is AlarmKind.EVOLVING]


def test_elevated_for_sixty_seconds_is_priority_1_at_a_fixed_station():
    square = fixed(gamma())
    hold(square, 0.83, 60, background=(0.12, "commissioned"), sigma=0.06)
    assert specific(square) == []
    hold(square, 0.83, 1, start=60, background=(0.12, "commissioned"), sigma=0.06)
    (alarm,) = specific(square)
    said = alarm.condition
    assert (said.priority, said.reason, said.hazard) == (
        Priority.P1, Reason.RADIATION_ELEVATED, "radiological",
    )  # fmt: skip
    assert (said.unit, said.value, said.setpoint) == ("uSv/h", 0.83, 0.5)
    assert said.facts["normal_ratio"] == pytest.approx(0.83 / 0.12)
    assert "background_commissioned" not in said.facts
    assert said.latching


def test_a_granite_square_needs_three_times_its_own_background():
    square = fixed(gamma())
    hold(square, 0.9, 300, background=(0.31, "commissioned"), sigma=0.3)
    assert specific(square) == []
    hold(square, 0.94, 61, start=300, background=(0.31, "commissioned"))
    assert len(specific(square)) == 1


def test_a_short_passage_is_not_elevated():
    square = fixed(gamma())
    hold(square, 2.0, 50)
    hold(square, 0.1, 50, start=50)
    assert specific(square) == []


def test_a_background_that_nobody_commissioned_is_said():
    square = fixed(gamma())
    hold(square, 0.83, 61, background=(0.12, "learnt"))
    facts = specific(square)[0].condition.facts
    assert facts["background_commissioned"] is False
    assert facts["background_source"] == "learnt"


def test_without_a_background_only_absolute_levels_alarm():
    square = fixed(gamma())
    hold(square, 0.4, 300, background=None)
    assert square.published == []
    hold(square, 0.6, 61, start=300, background=(float("nan"), "unknown"))
    assert [a.condition.priority for a in square.published] == [Priority.P1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (30.0, Reason.RADIATION_BOUNDARY),
        (120.0, Reason.RADIATION_HOT),
        (150_000.0, Reason.RADIATION_TURN_BACK),
    ],
)
def test_absolute_levels_rise_with_two_samples(value, reason):
    square = fixed(gamma())
    hold(square, value, 2, sigma=1.0)
    (alarm,) = specific(square)
    assert (alarm.condition.priority, alarm.condition.reason) == (Priority.P1, reason)


def test_the_boundary_is_the_jurisdictions():
    square = fixed(gamma(), jurisdiction="iaea")
    hold(square, 60.0, 2)
    assert specific(square) == []
    hold(square, 101.0, 2, start=2)
    assert specific(square)[0].condition.priority is Priority.P1


def test_an_unusual_count_is_investigated_from_the_exact_poisson_limit_on():
    background_cps, livetime_s = 5.0, 10.0
    limit = poisson_limit(50.0, livetime_s / (30 * DAY_S))
    square = fixed(counts(period_s=livetime_s))
    below, above = (limit - 1) / livetime_s, limit / livetime_s
    normal = (background_cps, "commissioned")
    assert square.radiation("g3/gamma", 0, 5.0, shown=below, background=normal) == []
    (alarm,) = square.radiation("g3/gamma", 10, 5.0, shown=above, background=normal)
    said = alarm.condition
    assert (said.key.kind, said.priority, said.reason, said.basis) == (
        AlarmKind.EVOLVING, Priority.P3, Reason.RADIATION_INVESTIGATE, Basis.STATISTICS,
    )  # fmt: skip


def test_the_budget_of_false_alarms_is_shared_by_the_stations_of_a_site():
    alone, many = fixed(counts()), fixed(*[counts(f"g{n}/gamma") for n in range(20)])
    limit = poisson_limit(50.0, 1 / (30 * DAY_S))
    shared = poisson_limit(50.0, 1 / (30 * DAY_S * 20))
    assert shared > limit
    normal = (50.0, "commissioned")
    assert alone.radiation("g3/gamma", 0, 50.0, shown=float(limit), background=normal)
    assert not many.radiation("g3/gamma", 0, 50.0, shown=float(limit), background=normal)
    assert many.radiation("g3/gamma", 1, 50.0, shown=float(shared), background=normal)


def test_counts_with_a_dose_factor_are_published_as_dose_rate():
    square = fixed(counts(factor=0.01))
    hold(square, 100.0, 61, background=(12.0, "commissioned"), sigma=5.0)
    said = specific(square)[0].condition
    assert (said.unit, said.value, said.sigma) == (Unit.USV_H, 1.0, 0.05)
    assert said.facts["normal_ratio"] == pytest.approx(100 / 12)


def test_counts_without_a_dose_factor_know_relative_steps_only():
    square = fixed(counts(factor=None))
    hold(square, 1e6, 61, background=(10.0, "commissioned"), sigma=5.0)
    assert specific(square) == []
    said = evolving(square)[-1].condition
    assert (said.priority, said.unit) == (Priority.P2, Unit.CPS)
    assert said.level.startswith("relative step")


def test_neutrons_without_any_background_never_divide_by_it():
    square = fixed(channel("g3/n", "neutron_count_rate", lod=None, sigma=None, counting=True))
    hold(square, 0.0, 100, name="g3/n", background=(0.0, "commissioned"), sigma=0.0)
    assert square.published == []
    hold(square, 10.0, 2, start=100, name="g3/n", background=(0.0, "commissioned"), sigma=1.0)
    assert square.published[0].condition.agent == "neutron"


def test_a_mobile_station_says_evolving_priority_2_with_its_places():
    square = mobile(gamma("p1/gamma"))
    for second in range(62):
        fix = Fix(37.8 + second * 1e-4, 140.93, 50.0, accuracy_m=5.0)
        square.radiation("p1/gamma", second, 1.2, background=(0.15, "running"), fix=fix)
    assert specific(square) == []
    last = evolving(square)[-1].condition
    assert (last.priority, last.reason) == (Priority.P2, Reason.RADIATION_ELEVATED)
    assert last.place == (37.8 + 60 * 1e-4, 140.93, 50.0)
    assert last.facts["places"] == 7
    assert last.facts["accuracy_m"] == 5.0


def test_above_the_boundary_a_mobile_station_is_priority_1_too():
    square = mobile(gamma("p1/gamma", grade=INDICATIVE))
    hold(square, 200.0, 2, name="p1/gamma", background=(0.15, "running"))
    assert specific(square)[0].condition.priority is Priority.P1


def test_an_indicative_fixed_station_is_evolving_until_a_second_agrees():
    square = fixed(gamma("g3/gamma", grade=INDICATIVE), gamma("g4/gamma", grade=INDICATIVE))
    hold(square, 0.9, 61, name="g3/gamma")
    assert {a.condition.priority for a in square.published} == {Priority.P3, Priority.P2}
    square.tick(61)
    hold(square, 0.9, 61, start=62, name="g4/gamma")
    square.tick(124)
    assert {a.condition.priority for a in square.machine.open_alarms()} == {Priority.P1}


def flight(square, value, *, altitude_m, speed_m_s, seconds=120, start=0, **fields):
    out = []
    for second in range(start, start + seconds):
        lat = 37.8 + second * speed_m_s / 111_132
        out += square.radiation(
            "p1/gamma", second, value, fix=Fix(lat, 140.9, altitude_m), **fields
        )
    return out


def test_altitude_and_speed_explain_a_rise_in_flight():
    square = mobile(gamma("p1/gamma"))
    normal = (0.1, "running")
    flight(square, 0.1, altitude_m=20.0, speed_m_s=1.0, background=normal)
    flight(square, 3.3, altitude_m=9000.0, speed_m_s=230.0, start=120, background=normal)
    assert {a.condition.priority for a in square.published} == {Priority.D}
    assert square.published[0].condition.reason is Reason.EXPLAINED_BY_ALTITUDE
    assert not any(a.annunciate for a in square.published)


def test_a_mountain_road_does_not_explain_anything():
    square = mobile(gamma("p1/gamma"))
    flight(square, 0.1, altitude_m=20.0, speed_m_s=1.0)
    flight(square, 3.3, altitude_m=2500.0, speed_m_s=20.0, start=120)
    assert square.published[-1].condition.priority is Priority.P2


def test_altitude_never_explains_what_is_above_the_boundary():
    square = mobile(gamma("p1/gamma"))
    flight(square, 0.1, altitude_m=20.0, speed_m_s=1.0)
    flight(square, 150.0, altitude_m=9000.0, speed_m_s=230.0, start=120, seconds=5)
    assert specific(square)[0].condition.priority is Priority.P1


def test_a_rise_that_moves_from_station_to_station_is_priority_2():
    stations = [station("g1"), station("g2", 30.0)]
    square = Square(site_model([gamma("g1/gamma"), gamma("g2/gamma")], stations))
    hold(square, 0.3, 3, name="g1/gamma")
    square.tick(3)
    hold(square, 0.1, 17, start=3, name="g1/gamma")
    hold(square, 0.3, 3, start=20, name="g2/gamma")
    square.tick(23)
    by_station = {a.condition.station: a.condition for a in square.machine.open_alarms()}
    assert by_station["g2"].priority is Priority.P2
    assert by_station["g2"].facts["moving"] is True


def test_a_source_that_rests_does_not_make_a_passer_by_move():
    stations = [station("g1"), station("g2", 30.0)]
    square = Square(site_model([gamma("g1/gamma"), gamma("g2/gamma")], stations))
    hold(square, 0.3, 400, name="g1/gamma")
    square.tick(400)
    hold(square, 0.3, 3, start=401, name="g2/gamma")
    square.tick(404)
    assert {a.condition.priority for a in square.machine.open_alarms()} == {Priority.P3}


def test_a_quiet_day_of_the_square_says_nothing():
    square = fixed(gamma())
    hold(square, 0.13, 2000, background=(0.12, "commissioned"), sigma=0.02)
    assert square.published == []


@pytest.mark.parametrize("outage_s", [600, 3600])
def test_one_count_after_an_outage_is_not_a_rate_of_the_whole_outage(outage_s):
    square = fixed(counts(period_s=None))
    hold(square, 1.0, 40, background=(0.6, 0.01, "commissioned"))
    hold(square, 1.0, 40, start=40 + outage_s, background=(0.6, 0.01, "commissioned"))
    assert square.published == []
