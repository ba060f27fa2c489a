"""Norwegian (bokmål) words of the alerts."""

from cbrn_core.alarm import AlarmState, Basis, Certainty, Reason
from cbrn_core.reading import DetectionClass
from cbrn_gateway.alarms.texts_types import Catalogue, Phrase

_WHAT = {
    Reason.LEVEL: "{where} gir utslag som {agent} {amount}{trend}; {above} {level}.",
    Reason.EXTREME_LEVEL: (
        "EKSTREMT: {where} gir utslag som {agent} {amount}{trend}; {above} {level}."
    ),
    Reason.NOTICE_LEVEL: (
        "{where} gir utslag som {agent} {amount}{trend}; {above} {level_short} ({setpoint})."
    ),
    Reason.EXPOSURE_EXCEEDED: "{level} ved {where}: {agent}, {basis} {amount}.",
    Reason.INDICATIVE_LEVEL: (
        "{where} gir utslag som {agent} {amount}{trend}; indikativ sensor over {level}; "
        "behandle som reelt, verifiser."
    ),
    Reason.INSTRUMENT_ALARM: (
        "{where} {channel}: instrumentets egen alarm {level} for {agent}; det viser {shown}."
    ),
    Reason.CLASS_DETECTION: "{where}: detektoren melder {agent}{bars}.",
    Reason.RADIATION_INVESTIGATE: (
        "{moving}{agent} ved {where} {amount}{ratio}; uvanlig for stasjonen, undersøk."
    ),
    Reason.RADIATION_ELEVATED: "{agent} ved {where} {amount}{ratio}. {near_source}",
    Reason.RADIATION_BOUNDARY: (
        "{agent} ved {where} {amount}{ratio}; {above} {level}. {near_source}"
    ),
    Reason.RADIATION_HOT: (
        "HET SONE: {agent} ved {where} {amount}{ratio}; {above} {level}. {near_source}"
    ),
    Reason.RADIATION_TURN_BACK: (
        "SNU: {agent} ved {where} {amount}{ratio}; {above} {level}. {near_source}"
    ),
    Reason.EXPLAINED_BY_ALTITUDE: "{agent} ved {where} {amount}{ratio}; forklart av flyhøyde.",
    Reason.STALE: (
        "{where} {channel}: ingen måling{silent}; kanalen overvåker ikke, "
        "og siste kjente tilstand kan være feil."
    ),
    Reason.INSTRUMENT_FAULT: "{where} {channel}: instrumentfeil{detail}; kanalen overvåker ikke.",
    Reason.INSTRUMENT_INHIBITED: (
        "{where} {channel}: instrumentet er sperret{detail}; kanalen overvåker ikke."
    ),
    Reason.STEP: "{where} hoppet {jump}: sensorfeil sannsynlig, gass ikke utelukket.",
    Reason.SPIKE: "{where} {channel}: én måling skilte seg ut på {shown}; beholdt som bevis.",
    Reason.STUCK: (
        "{where} {channel}: verdien har ikke endret seg{silent}; sensoren kan ha hengt seg opp, "
        "målingene er ikke til å stole på."
    ),
    Reason.NOT_IN_SERVICE: "{where} er ikke i drift{detail}; alarmer går likevel og sier det.",
    Reason.RADIO_DOWN: (
        "{where}: radioen {about} i gatewayen virker ikke{detail}; "
        "instrumenter som sender over den, blir ikke hørt."
    ),
    Reason.LINK_DOWN: "{where}: ingen kontakt{detail}; siste kjente tilstand kan være feil.",
    Reason.DELIVERY_REFUSED: (
        "{where}: en mottaker avviste en melding eller et abonnement{detail}; det er ikke levert."
    ),
    Reason.STORE_FAILED: "{where}: {store}{detail}; alarmer går fortsatt.",
    Reason.ALERT_INCOMPLETE: (
        "{where}: et varsel kunne ikke skrives fullt ut{detail}; det ble sendt i kort form."
    ),
    Reason.LOOP_LATE: (
        "{where}: gatewayen ble holdt opp{detail}; alarmer går fortsatt, men kan komme sent."
    ),
    Reason.PATH_UNPROVEN: (
        "{where}: veien til vaktsentral {about} er ikke bevist{detail}; "
        "den hører kanskje ikke en alarm."
    ),
    Reason.COVERAGE_LOST: "{where} kan ikke oppdage {agent} nå{detail}.",
    Reason.CLOCK_SET: (
        "{where}: klokken i gatewayen ble stilt{detail}; tidligere tidspunkter kan være feil."
    ),
    Reason.CLOCK_UNSYNCED: (
        "{where}: klokken i gatewayen er ikke synkronisert{detail}; "
        "tider kan være feil, alarmer går fortsatt."
    ),
    Reason.CERTIFICATE_EXPIRES: (
        "{where}: et sertifikat for gatewayen går snart ut{detail}; "
        "forny det før forbindelsen avvises."
    ),
    Reason.CONFIG_NOT_IN_FORCE: (
        "{where}: den nye konfigurasjonen gjelder ikke{detail}; den forrige gjelder fortsatt."
    ),
    Reason.MOVED: (
        "{where}: fast stasjon {moved} fra plassen sin; målingene er ikke til å stole på."
    ),
}

_BRIEF = {
    Reason.LEVEL: "{where} gir utslag som {agent}, {spoken}{trend}, {above} {level_short}.",
    Reason.EXTREME_LEVEL: (
        "EKSTREMT. {where} gir utslag som {agent}, {spoken}{trend}, {above} {level_short}."
    ),
    Reason.NOTICE_LEVEL: (
        "Melding. {where} gir utslag som {agent}, {spoken}{trend}, {above} {level_short}."
    ),
    Reason.EXPOSURE_EXCEEDED: "{where}: {level}, {agent}, {spoken}; nå {now}.",
    Reason.INDICATIVE_LEVEL: (
        "{where}, indikativ sensor, utslag som {agent}, {spoken}{trend}. Behandle som reelt."
    ),
    Reason.INSTRUMENT_ALARM: "{where}: instrumentalarm, {agent}, viser {shown}.",
    Reason.CLASS_DETECTION: "{where}: detektoren melder {agent}{bars}.",
    Reason.RADIATION_INVESTIGATE: "{where}: {agent} {spoken}, uvanlig, undersøk.",
    Reason.RADIATION_ELEVATED: "{where}: {agent} {spoken}{ratio}, kilden ikke funnet.",
    Reason.RADIATION_BOUNDARY: "{where}: {agent} {spoken}, fareområde, kilden ikke funnet.",
    Reason.RADIATION_HOT: "HET SONE. {where}: {agent} {spoken}, kilden ikke funnet.",
    Reason.RADIATION_TURN_BACK: "SNU. {where}: {agent} {spoken}.",
    Reason.EXPLAINED_BY_ALTITUDE: "{where}: {agent} {spoken}, forklart av flyhøyde.",
    Reason.STALE: "{where} {channel}: ingen måling, overvåker ikke.",
    Reason.INSTRUMENT_FAULT: "{where} {channel}: instrumentfeil, overvåker ikke.",
    Reason.INSTRUMENT_INHIBITED: "{where} {channel}: sperret, overvåker ikke.",
    Reason.STEP: "{where} hoppet {jump}. Sensorfeil sannsynlig, gass ikke utelukket.",
    Reason.SPIKE: "{where} {channel}: enkelt utslag, beholdt som bevis.",
    Reason.STUCK: "{where} {channel}: verdien endrer seg ikke, ikke til å stole på.",
    Reason.NOT_IN_SERVICE: "{where} er ikke i drift; alarmer går likevel.",
    Reason.RADIO_DOWN: "{where}: radioen {about} i gatewayen virker ikke.",
    Reason.LINK_DOWN: "{where}: ingen kontakt, siste kjente tilstand kan være feil.",
    Reason.DELIVERY_REFUSED: "{where}: en mottaker avviste en melding eller et abonnement.",
    Reason.STORE_FAILED: "{where}: {store}; alarmer går fortsatt.",
    Reason.ALERT_INCOMPLETE: "{where}: et varsel ble sendt i kort form.",
    Reason.LOOP_LATE: "{where}: gatewayen ble holdt opp; alarmer kan komme sent.",
    Reason.PATH_UNPROVEN: "{where}: veien til vaktsentral {about} er ikke bevist.",
    Reason.COVERAGE_LOST: "{where} kan ikke oppdage {agent} nå.",
    Reason.CLOCK_SET: ("{where}: klokken i gatewayen ble stilt."),
    Reason.CLOCK_UNSYNCED: ("{where}: klokken i gatewayen er ikke synkronisert."),
    Reason.CERTIFICATE_EXPIRES: "{where}: et sertifikat for gatewayen går snart ut.",
    Reason.CONFIG_NOT_IN_FORCE: "{where}: den nye konfigurasjonen gjelder ikke.",
    Reason.MOVED: "{where}: stasjonen er flyttet {moved}, målingene er ikke til å stole på.",
}

_STATES = {
    AlarmState.PENDING: "",
    AlarmState.UNACK: "",
    AlarmState.ACK: "Kvittert av {acked_by} {acked_at}; fortsatt aktiv.",
    AlarmState.RTN_UNACK: "Ingen har kvittert ennå.",
    AlarmState.LATCHED: "Den står åpen til en person avslutter den.",
    AlarmState.SHELVED: "Lagt til side til {until}.",
    AlarmState.SUPPRESSED: "Undertrykt etter oppsettet; blir fortsatt registrert.",
    AlarmState.OUT_OF_SERVICE: "Tatt ut av drift til {until}; ikke overvåket imens.",
    AlarmState.NORMAL: "Denne alarmen er avsluttet.",
}

_PHRASES = {
    Phrase.EXERCISE: "ØVELSE{name} – ",
    Phrase.TEST: "TEST – ",
    Phrase.REAL_DURING_EXERCISE: "REELT – IKKE DEL AV ØVELSE{name}: ",
    Phrase.BELOW: "under {limit}",
    Phrase.BELOW_DETECTION: "under deteksjonsgrensen",
    Phrase.OVER_RANGE: "≥ {limit} (over måleområdet)",
    Phrase.NO_VALUE: "ingen verdi",
    Phrase.RISING: " og stigende",
    Phrase.FALLING: " og synkende",
    Phrase.ABOVE: "over",
    Phrase.WAS_ABOVE: "har vært over",
    Phrase.HIGHEST: "Høyest hittil {peak}{at}.",
    Phrase.UNUSUAL: "det som er uvanlig for stasjonen",
    Phrase.SHOWN: "Instrumentet viser {shown}; forventet sluttverdi {amount}.",
    Phrase.SHOWN_COUNTED: "Instrumentet viser {shown} nå; midlet {amount}.",
    Phrase.NOW: "Nå {now}{trend}; instrumentet viser {shown}.",
    Phrase.NOW_ABOVE: "Nå {now}{trend}, over {now_level}; instrumentet viser {shown}.",
    Phrase.ONE_AND_ONE: "Én stasjon, én teknologi.",
    Phrase.COUNTS: "{stations}, {technologies}.",
    Phrase.COUNTS_OF: "{over} av {watching} stasjoner, {technologies}.",
    Phrase.STATION_ONE: "1 stasjon",
    Phrase.STATION_MANY: "{count} stasjoner",
    Phrase.TECHNOLOGY_ONE: "1 teknologi",
    Phrase.TECHNOLOGY_MANY: "{count} teknologier",
    Phrase.JUMP: "{change} på {duration}",
    Phrase.OTHER_INSTRUMENT: "et annet instrument (id {id}) på denne porten",
    Phrase.SUDDENLY: "plutselig",
    Phrase.FOR: " på {duration}",
    Phrase.MOVED_UNKNOWN: "bort",
    Phrase.BARS: ", {bars} av 8 streker",
    Phrase.STORE_FAILS: "et lager i denne gatewayen svikter",
    Phrase.DISK_NEARLY_FULL: "disken i denne gatewayen er nesten full",
    Phrase.DISK_FULL: "disken i denne gatewayen er full",
    Phrase.DISK_SILENT: "disken i denne gatewayen svarer ikke",
    Phrase.JOURNAL_LARGE: "journalen i denne gatewayen tar mye av disken",
    Phrase.FREE_MB: "{free} MB ledig, de eldste målingene gir plass",
    Phrase.TAKEN_MB: "{taken} MB",
    Phrase.SILENT_SINCE: "siden {since}",
    Phrase.SINGLE_SENSOR: "Enkelt sensor, behandle som reelt.",
    Phrase.ALSO_ANSWERS_TO: "Sensoren reagerer også på {others}.",
    Phrase.ALSO_EXPLAINED: "Også forklart av {explanation}.",
    Phrase.DECLARED: "Meldt her: {declared}.",
    Phrase.PLACE: "MÅLT HER, kilden ukjent: {place}.",
    Phrase.CERTAINTY: "Visshet: {certainty}.",
    Phrase.CERTAINTY_BY_PERSON: "Vissheten er satt av en person: {person}, metode: {method}.",
    Phrase.SINCE: "Siden {since}.",
    Phrase.CHANGED: "Kl. {changed}.",
    Phrase.NORMAL_RATIO: " = {ratio} × stasjonens normale",
    Phrase.NEAR_SOURCE: (
        "Et sted i nærheten er en kilde: styrke og plass er ikke kjent ennå. "
        "En kilde kan være nær noen; styrken er ukjent til den er funnet. "
        "Hold alle ≥ {distance} fra området; let ikke uten dosimeter ({distance}: "
        "{distance_source})."
    ),
    Phrase.MOVING: "økning i gamma som flytter seg: ",
    Phrase.BACKGROUND_NOT_COMMISSIONED: "Merk: bakgrunnen er ikke fastsatt ved oppsett.",
    Phrase.LIMIT_UNSIGNED: "Merk: grenseverdien er ikke godkjent av byen.",
    Phrase.SITE_NOT_IN_SERVICE: "Merk: stedet er ikke i drift ({reason}).",
    Phrase.NOT_IN_SERVICE_DEFAULT: "ikke godkjent for drift",
    Phrase.RETURNED_HAZARD: (
        "{agent}: målingen er igjen under {level_limit} ved {stations}; området er IKKE klarert."
    ),
    Phrase.RETURNED_RADIATION: (
        "{agent}: målingen er igjen under {level_limit} ved {stations}; området er IKKE klarert. "
        "Er kilden fjernet eller skjermet? Krever en person."
    ),
    Phrase.RETURNED_TECHNICAL: "{where} {channel}: meldes ikke lenger ({condition}).",
    Phrase.LAST_VALUE: "Siste verdi over: {amount}.",
    Phrase.ESCALATED: "Varsler på nytt: nivå, visshet eller område er endret, eller den kom igjen.",
    Phrase.PERSON: "operatør",
    Phrase.WORDS_OF: "{person}: “{words}”.",
    Phrase.NOT_DETECTABLE: "{agent}, {level}: kan ikke påvises her",
    Phrase.OUTSIDE_THE_LINE: "Område tegnet: det kan være farlig utenfor linjen også.",
    Phrase.NO_SOURCE_SINGLE: "én stasjon alene kan ikke si hvor kilden er",
    Phrase.NO_SOURCE_YET: "det er ikke beregnet noe kildeområde for hendelsen",
    Phrase.LEAST: (
        "Alarm med prioritet {priority}. Enkelthetene kunne ikke skrives: handle etter "
        "prioriteten og se på gatewayen."
    ),
    Phrase.LEAST_RETURNED: (
        "Alarm med prioritet {priority} har gått tilbake. Enkelthetene kunne ikke skrives: se på "
        "gatewayen; området er IKKE klarert."
    ),
    Phrase.NO_AREA: "intet område er tegnet: bruk målestasjonene og den faste sperringen",
    Phrase.UNTIL_UNKNOWN: "en person avslutter det",
    Phrase.KEEP_AWAY_CHEMICAL: "Hold folk unna, gå på tvers av vinden.",
    Phrase.KEEP_AWAY_RADIATION: "Hold alle {distance} unna.",
    Phrase.KEEP_AWAY_BIOLOGICAL: "Hold folk unna, ta en prøve.",
}

NORWEGIAN = Catalogue(
    language="nb",
    decimal_mark=",",
    what=_WHAT,
    brief=_BRIEF,
    states=_STATES,
    certainty={
        Certainty.POSSIBLE: "mulig",
        Certainty.PROBABLE: "sannsynlig",
        Certainty.CONFIRMED: "satt av en person",
    },
    basis={
        Basis.MOMENTARY: "øyeblikksverdi",
        Basis.RUNNING_MEAN: "løpende middel",
        Basis.TOXIC_LOAD: "toksisk belastning som av jevnt",
        Basis.STATISTICS: "statistikk, nå",
        Basis.INSTRUMENT_ALARM: "instrumentalarm,",
    },
    classes={
        DetectionClass.NERVE: "klassen nervestridsmiddel",
        DetectionClass.BLISTER: "klassen hudgass",
        DetectionClass.BLOOD: "klassen blodgass",
        DetectionClass.CHOKING: "klassen lungegass",
        DetectionClass.TIC: "giftig industrikjemikalie",
        DetectionClass.BIO_TRIGGER: "uvanlige biologiske partikler",
        DetectionClass.RADIATION: "stråling",
        DetectionClass.EXPLOSIVE: "damp av eksplosiv",
        DetectionClass.OTHER: "ukjent stoff",
    },
    quantities={
        "gamma": "gamma",
        "neutron": "nøytroner",
        "dose": "dose",
        "bio": "biologiske partikler",
        "bacteria": "luftbårne bakterier",
        "pm": "partikler",
        "particle": "partikler",
        "": "ukjent stoff",
    },
    levels=(
        (r"(AEGL-\d) (\d+)-min concentration \(momentary\)", r"\1 for \2 min (øyeblikksverdi)"),
        (r"(AEGL-\d) \((\d+) min\) exceeded", r"\1 (\2 min) overskredet"),
        (r"\(momentary\)", "(øyeblikksverdi)"),
        (r"\bexceeded\b", "overskredet"),
        (r"^store fails$", "lager svikter"),
        (r"^disk nearly full$", "disk nesten full"),
        (r"^radio does not work$", "radioen virker ikke"),
        (r"^disk full$", "disk full"),
        (r"^disk does not answer$", "disken svarer ikke"),
        (r"^journal is large$", "journalen er stor"),
    ),
    phrases=_PHRASES,
)
