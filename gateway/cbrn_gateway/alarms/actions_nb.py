"""Norwegian (bokmål) example steps; every city replaces them with its own, approved ones."""

from cbrn_gateway.alarms.actions_types import Play, Role, Step, StepCatalogue

_KEEP_AWAY = Step(
    Role.EVERYONE,
    "Hold folk unna {stations}; gå på tvers av vinden, ikke gjennom {stations}.",
)
_SECOND_TECHNOLOGY = Step(
    Role.RESPONDER,
    "Gå inn med vinden i ryggen og åndedrettsvern; mål med en annen teknologi.",
)
_NOBODY_LIFTS = Step(
    Role.SUPERVISOR,
    "Ingen opphever tiltak på denne målingen alene: en person med navngitt metode avgjør.",
)
_DISTANCE = Step(
    Role.EVERYONE,
    "Hold alle ≥ {distance} fra området rundt {stations} ({distance}: {distance_source}).",
)

NORWEGIAN_STEPS = StepCatalogue(
    language="nb",
    steps={
        Play.CHEMICAL_ALARM: (
            _KEEP_AWAY,
            Step(
                Role.OPERATOR,
                "Ring brannvesenet: utslag som {agent}{transport}, {amount} ved {where}, "
                "kildens plass er ukjent.",
            ),
            Step(Role.OPERATOR, "Få stengt luftinntak og dører ved {stations}."),
            _SECOND_TECHNOLOGY,
            _NOBODY_LIFTS,
        ),
        Play.CHEMICAL_INDICATIVE: (
            _KEEP_AWAY,
            Step(Role.OPERATOR, "Behandle som reelt; se etter en annen stasjon eller kamera."),
            Step(
                Role.RESPONDER,
                "Verifiser {agent} ved {where} med vinden i ryggen og åndedrettsvern på.",
            ),
        ),
        Play.CHEMICAL_NOTICE: (
            Step(Role.OPERATOR, "Følg med på {where}; spør folk der om lukt og symptomer."),
            Step(Role.OPERATOR, "Send noen for å se, med vinden i ryggen, hvis det øker."),
        ),
        Play.CHEMICAL_CLASS: (
            _KEEP_AWAY,
            Step(Role.OPERATOR, "Ring brannvesenet: detektoren ved {where} melder {agent}."),
            Step(Role.EVERYONE, "Ikke rør væsker eller våte flater ved {stations}."),
            Step(Role.RESPONDER, "Full beskyttelse; gjør klar rensing på vindsiden."),
            _NOBODY_LIFTS,
        ),
        Play.BIOLOGICAL: (
            Step(Role.RESPONDER, "Ta en prøve ved {where}; ta vare på filteret og noter tiden."),
            Step(Role.EVERYONE, "Hold folk unna {stations} til prøven er tatt."),
            Step(Role.OPERATOR, "Nevn ikke noe smittestoff: bare et laboratorium kan det."),
        ),
        Play.RADIATION_INVESTIGATE: (
            Step(Role.RESPONDER, "Mål nær {where} med dosimeteret slått på."),
            Step(Role.OPERATOR, "Følg nabostasjonene for en kilde som flytter seg."),
        ),
        Play.RADIATION_ALARM: (
            _DISTANCE,
            Step(Role.EVERYONE, "Let ikke uten dosimeter; rør ikke ukjente gjenstander."),
            Step(
                Role.OPERATOR,
                "Ring strålevernet: {agent} {amount} ved {where}; "
                "kildens styrke og plass er ukjent.",
            ),
            Step(Role.RESPONDER, "Snu ved doseraten som er satt for oppdraget."),
            _NOBODY_LIFTS,
        ),
        Play.RADIATION_TURN_BACK: (
            Step(Role.RESPONDER, "SNU nå samme vei; meld dosen din."),
            _DISTANCE,
            Step(Role.OPERATOR, "La ingen passere {stations}; ring stråleekspertene."),
        ),
        Play.PHYSIOLOGICAL: (
            Step(Role.RESPONDER, "Trekk bæreren ut og la helsepersonell se på bæreren."),
        ),
        Play.RETURNED: (
            Step(Role.OPERATOR, "Behold tiltakene: målingen falt, området er ikke undersøkt."),
            Step(Role.RESPONDER, "Mål ved {stations} med en annen teknologi."),
            Step(Role.SUPERVISOR, "Avslutt bare med navngitt person, metode og begrunnelse."),
        ),
        Play.CHANNEL_SILENT: (
            Step(Role.TECHNICIAN, "Sjekk {where} {channel}: strøm, kabel, radio, så driver."),
            Step(Role.TECHNICIAN, "Funksjonstest med gass før den teller igjen."),
            Step(Role.OPERATOR, "Regn {where} {channel} som ikke overvåket imens."),
        ),
        Play.CHANNEL_SUSPECT: (
            Step(Role.OPERATOR, "Gass eller kilde er ikke utelukket: se på naboene til {where}."),
            Step(Role.TECHNICIAN, "Sjekk {where} {channel} og funksjonstest."),
        ),
        Play.STATION_MOVED: (
            Step(Role.OPERATOR, "Send vakt til plassen til {where}; se på kamera."),
            Step(Role.TECHNICIAN, "Undersøk og mål inn {where} på nytt før målingene teller."),
        ),
        Play.SITE_NOT_IN_SERVICE: (
            Step(Role.SUPERVISOR, "Fullfør overleveringen av {where} eller varsle sentralene."),
            Step(Role.OPERATOR, "Behandle alarmene som reelle imens."),
        ),
        Play.DELIVERY: (
            Step(Role.OPERATOR, "Fortell sentralene på telefon hva listen her viser."),
            Step(Role.TECHNICIAN, "Sjekk samband, meglerens rettigheter og sertifikater."),
        ),
        Play.RADIO: (
            Step(Role.OPERATOR, "Hold talekontakt med bærerne; verdiene deres kommer ikke fram."),
            Step(Role.TECHNICIAN, "Gjør på gatewayen det teksten sier; omstart trengs ikke."),
        ),
        Play.STORE: (
            Step(Role.TECHNICIAN, "Frigjør diskplass eller bytt disk straks."),
            Step(Role.OPERATOR, "Skriv ned alarmer for hånd til lageret skriver igjen."),
        ),
        Play.ALERT_INCOMPLETE: (
            Step(
                Role.OPERATOR,
                "Handle på det korte varselet etter prioriteten; les resten på instrumentet.",
            ),
            Step(
                Role.TECHNICIAN,
                "Se i loggen hva som ikke kunne skrives, og send det til produsenten.",
            ),
        ),
        Play.GATEWAY_LATE: (
            Step(
                Role.TECHNICIAN, "Se på maskinens belastning og i loggen: hva holdt gatewayen opp?"
            ),
            Step(Role.OPERATOR, "Regn med at alarmer kommer sent til det er rettet."),
        ),
        Play.ZONE_BLIND: (
            Step(
                Role.OPERATOR,
                "Overvåk sonen på annen måte (patrulje, håndholdt detektor) til det er rettet.",
            ),
            Step(Role.TECHNICIAN, "Gå til sensorene som er tause: strøm, ledning, samband."),
        ),
        Play.CLOCK: (
            Step(Role.TECHNICIAN, "Sjekk maskinens tidskilde (NTP, GNSS) og batteri."),
            Step(Role.OPERATOR, "Sammenlign tiden i varselet med en klokke du stoler på."),
        ),
        Play.CERTIFICATE: (
            Step(
                Role.TECHNICIAN,
                "Forny sertifikatet for gatewayen og legg det i filen sin; omstart trengs ikke.",
            ),
        ),
        Play.CONFIGURATION: (
            Step(Role.TECHNICIAN, "Rett filen: cbrn-gateway config plan viser den."),
            Step(Role.TECHNICIAN, "Ta den i bruk igjen og vent til prøvetiden er over."),
        ),
        Play.EXPLAINED: (
            Step(Role.OPERATOR, "Sjekk at forklaringen stemmer; ellers ingenting å gjøre."),
        ),
    },
    cordon=Step(Role.OPERATOR, "Sett byens faste sperring: {cordon} rundt {stations}."),
    tolerance=Step(Role.RESPONDER, "ETW {hours} h {tolerance} overskredet: åndedrettsvern."),
    example="EKSEMPEL – ikke godkjent av din etat",
    expired="UTLØPT – godkjenningen fra din etat er over",
    approved="godkjent av din etat",
)
