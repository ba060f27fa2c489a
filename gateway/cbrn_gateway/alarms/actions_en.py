"""English example steps; every city replaces them with its own, approved ones."""

from cbrn_gateway.alarms.actions_types import Play, Role, Step, StepCatalogue

_KEEP_AWAY = Step(
    Role.EVERYONE,
    "Keep people away from {stations}; move crosswind, not through {stations}.",
)
_SECOND_TECHNOLOGY = Step(
    Role.RESPONDER,
    "Approach from upwind with breathing protection; measure with a second technology.",
)
_NOBODY_LIFTS = Step(
    Role.SUPERVISOR,
    "Nobody lifts a measure on this reading alone: a person with a named method decides.",
)
_DISTANCE = Step(
    Role.EVERYONE,
    "Keep everybody ≥ {distance} from the suspected area around {stations} "
    "({distance}: {distance_source}).",
)

ENGLISH_STEPS = StepCatalogue(
    language="en",
    steps={
        Play.CHEMICAL_ALARM: (
            _KEEP_AWAY,
            Step(
                Role.OPERATOR,
                "Call the fire service: reads as {agent}{transport}, {amount} at {where}, "
                "source place unknown.",
            ),
            Step(Role.OPERATOR, "Have air intakes and doors next to {stations} closed."),
            _SECOND_TECHNOLOGY,
            _NOBODY_LIFTS,
        ),
        Play.CHEMICAL_INDICATIVE: (
            _KEEP_AWAY,
            Step(Role.OPERATOR, "Treat as real; look for a second station or camera view."),
            Step(Role.RESPONDER, "Verify {agent} at {where} from upwind, breathing protection on."),
        ),
        Play.CHEMICAL_NOTICE: (
            Step(Role.OPERATOR, "Watch {where}; ask people there about smell and symptoms."),
            Step(Role.OPERATOR, "Send somebody to look from upwind if it keeps rising."),
        ),
        Play.CHEMICAL_CLASS: (
            _KEEP_AWAY,
            Step(Role.OPERATOR, "Call the fire service: detector at {where} reports {agent}."),
            Step(Role.EVERYONE, "Do not touch liquids or wet surfaces near {stations}."),
            Step(Role.RESPONDER, "Full protection; prepare decontamination upwind."),
            _NOBODY_LIFTS,
        ),
        Play.BIOLOGICAL: (
            Step(Role.RESPONDER, "Take a sample at {where}; keep the filter and note the time."),
            Step(Role.EVERYONE, "Keep people away from {stations} until the sample is taken."),
            Step(Role.OPERATOR, "Name no agent: only a laboratory can."),
        ),
        Play.RADIATION_INVESTIGATE: (
            Step(Role.RESPONDER, "Go and measure near {where} with a dosimeter switched on."),
            Step(Role.OPERATOR, "Watch the neighbouring stations for a moving source."),
        ),
        Play.RADIATION_ALARM: (
            _DISTANCE,
            Step(Role.EVERYONE, "Do not search without dosimeter; do not touch unknown objects."),
            Step(
                Role.OPERATOR,
                "Call the radiation protection service: {agent} {amount} at {where}; "
                "strength and place of the source unknown.",
            ),
            Step(Role.RESPONDER, "Turn back at the dose rate set for your mission."),
            _NOBODY_LIFTS,
        ),
        Play.RADIATION_TURN_BACK: (
            Step(Role.RESPONDER, "TURN BACK now by the way you came; report your dose."),
            _DISTANCE,
            Step(Role.OPERATOR, "Let nobody pass {stations}; call the radiation experts."),
        ),
        Play.PHYSIOLOGICAL: (
            Step(Role.RESPONDER, "Withdraw the wearer and have the medic look at the wearer."),
        ),
        Play.RETURNED: (
            Step(Role.OPERATOR, "Keep the measures: the reading fell, the area was not examined."),
            Step(Role.RESPONDER, "Measure at {stations} with a second technology."),
            Step(Role.SUPERVISOR, "Resolve only with a named person, method and reason."),
        ),
        Play.CHANNEL_SILENT: (
            Step(
                Role.TECHNICIAN, "Check {where} {channel}: power, cable, radio link, then driver."
            ),
            Step(Role.TECHNICIAN, "Bump test before it counts as able again."),
            Step(Role.OPERATOR, "Treat {where} {channel} as not watched until then."),
        ),
        Play.CHANNEL_SUSPECT: (
            Step(Role.OPERATOR, "Gas or source not excluded: watch the neighbours of {where}."),
            Step(Role.TECHNICIAN, "Check {where} {channel} and bump test it."),
        ),
        Play.STATION_MOVED: (
            Step(Role.OPERATOR, "Send security to the place of {where}; look at cameras."),
            Step(Role.TECHNICIAN, "Inspect and survey {where} again before its readings count."),
        ),
        Play.SITE_NOT_IN_SERVICE: (
            Step(Role.SUPERVISOR, "Finish the hand-over of {where} or tell the control rooms."),
            Step(Role.OPERATOR, "Treat its alarms as real meanwhile."),
        ),
        Play.DELIVERY: (
            Step(Role.OPERATOR, "Tell the control rooms by telephone what the list here shows."),
            Step(Role.TECHNICIAN, "Check link, broker rights and certificates."),
        ),
        Play.RADIO: (
            Step(Role.OPERATOR, "Keep in touch with wearers by voice; their values do not come."),
            Step(Role.TECHNICIAN, "Do on the gateway what the text says; no restart is needed."),
        ),
        Play.STORE: (
            Step(Role.TECHNICIAN, "Free disk space or replace the disk at once."),
            Step(Role.OPERATOR, "Write alarms down by hand until the store writes again."),
        ),
        Play.ALERT_INCOMPLETE: (
            Step(
                Role.OPERATOR,
                "Act on the short alert by its priority; read the rest at the instrument.",
            ),
            Step(
                Role.TECHNICIAN,
                "Look at the log for what could not be written, and send it to the makers.",
            ),
        ),
        Play.GATEWAY_LATE: (
            Step(
                Role.TECHNICIAN,
                "Look at the machine's load and at the log: what held the gateway up?",
            ),
            Step(Role.OPERATOR, "Reckon with alarms that come late until it is mended."),
        ),
        Play.ZONE_BLIND: (
            Step(
                Role.OPERATOR,
                "Watch the zone by other means (patrol, portable detector) until it is mended.",
            ),
            Step(Role.TECHNICIAN, "Go to the silent sensors: power, wire, link."),
        ),
        Play.CLOCK: (
            Step(Role.TECHNICIAN, "Check the machine's time source (NTP, GNSS) and its battery."),
            Step(Role.OPERATOR, "Compare the time on the alert with a clock you trust."),
        ),
        Play.CERTIFICATE: (
            Step(
                Role.TECHNICIAN,
                "Renew the gateway's certificate and put it in its file; no restart is needed.",
            ),
        ),
        Play.CONFIGURATION: (
            Step(Role.TECHNICIAN, "Mend the site file: cbrn-gateway config plan shows it."),
            Step(Role.TECHNICIAN, "Apply it again and wait for its trial to end."),
        ),
        Play.EXPLAINED: (
            Step(Role.OPERATOR, "Check that the explanation is right; nothing else to do."),
        ),
    },
    cordon=Step(Role.OPERATOR, "Set the city's standing cordon: {cordon} around {stations}."),
    tolerance=Step(Role.RESPONDER, "ETW {hours} h {tolerance} exceeded: breathing protection."),
    example="EXAMPLE – not approved by your service",
    expired="EXPIRED – approval of your service has ended",
    approved="approved by your service",
)
