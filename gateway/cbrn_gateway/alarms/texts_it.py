"""Italian words of the alerts."""

from cbrn_core.alarm import AlarmState, Basis, Certainty, Reason
from cbrn_core.reading import DetectionClass
from cbrn_gateway.alarms.texts_types import Catalogue, Phrase

_WHAT = {
    Reason.LEVEL: "{where} legge come {agent} {amount}{trend}; {above} {level}.",
    Reason.EXTREME_LEVEL: "ESTREMO: {where} legge come {agent} {amount}{trend}; {above} {level}.",
    Reason.NOTICE_LEVEL: (
        "{where} legge come {agent} {amount}{trend}; {above} {level_short} ({setpoint})."
    ),
    Reason.EXPOSURE_EXCEEDED: "{level} presso {where}: {agent}, {basis} {amount}.",
    Reason.INDICATIVE_LEVEL: (
        "{where} legge come {agent} {amount}{trend}; sensore indicativo oltre {level}; "
        "trattare come reale, verificare."
    ),
    Reason.INSTRUMENT_ALARM: (
        "{where} {channel}: allarme proprio dello strumento {level} per {agent}; indica {shown}."
    ),
    Reason.CLASS_DETECTION: "{where}: il rivelatore segnala {agent}{bars}.",
    Reason.RADIATION_INVESTIGATE: (
        "{moving}{agent} presso {where} {amount}{ratio}; insolito per la stazione, indagare."
    ),
    Reason.RADIATION_ELEVATED: "{agent} presso {where} {amount}{ratio}. {near_source}",
    Reason.RADIATION_BOUNDARY: (
        "{agent} presso {where} {amount}{ratio}; {above} {level}. {near_source}"
    ),
    Reason.RADIATION_HOT: (
        "ZONA CALDA: {agent} presso {where} {amount}{ratio}; {above} {level}. {near_source}"
    ),
    Reason.RADIATION_TURN_BACK: (
        "TORNARE INDIETRO: {agent} presso {where} {amount}{ratio}; {above} {level}. {near_source}"
    ),
    Reason.EXPLAINED_BY_ALTITUDE: "{agent} presso {where} {amount}{ratio}; spiegato dalla quota.",
    Reason.STALE: (
        "{where} {channel}: nessuna lettura{silent}; il canale non sorveglia, "
        "e l'ultimo stato noto può essere errato."
    ),
    Reason.INSTRUMENT_FAULT: (
        "{where} {channel}: guasto dello strumento{detail}; il canale non sorveglia."
    ),
    Reason.INSTRUMENT_INHIBITED: (
        "{where} {channel}: strumento inibito{detail}; il canale non sorveglia."
    ),
    Reason.STEP: "{where}: salto {jump}: probabile guasto del sensore, gas non escluso.",
    Reason.SPIKE: "{where} {channel}: un solo campione anomalo, {shown}; conservato come prova.",
    Reason.STUCK: (
        "{where} {channel}: il valore non cambia{silent}; il sensore può essere bloccato, "
        "le letture non sono affidabili."
    ),
    Reason.NOT_IN_SERVICE: (
        "{where} non è in servizio{detail}; gli allarmi scattano comunque e lo dicono."
    ),
    Reason.RADIO_DOWN: (
        "{where}: la radio {about} del gateway non funziona{detail}; "
        "gli strumenti che la usano non vengono ricevuti."
    ),
    Reason.LINK_DOWN: "{where}: nessun contatto{detail}; l'ultimo stato noto può essere errato.",
    Reason.DELIVERY_REFUSED: (
        "{where}: un destinatario ha rifiutato un messaggio o un abbonamento{detail}; "
        "non è consegnato."
    ),
    Reason.STORE_FAILED: "{where}: {store}{detail}; gli allarmi continuano.",
    Reason.ALERT_INCOMPLETE: (
        "{where}: un avviso non si è potuto scrivere per intero{detail}; è partito in forma breve."
    ),
    Reason.LOOP_LATE: (
        "{where}: il gateway è stato trattenuto{detail}; "
        "gli allarmi continuano, ma possono arrivare in ritardo."
    ),
    Reason.PATH_UNPROVEN: (
        "{where}: percorso verso la sala operativa {about} non provato{detail}; "
        "un allarme può non arrivarvi."
    ),
    Reason.COVERAGE_LOST: "{where}: {agent} ora non rilevabile{detail}.",
    Reason.CLOCK_SET: (
        "{where}: l'orologio del gateway è stato regolato{detail}; "
        "gli orari precedenti possono essere errati."
    ),
    Reason.CLOCK_UNSYNCED: (
        "{where}: l'orologio del gateway non è sincronizzato{detail}; "
        "gli orari possono essere errati, gli allarmi continuano."
    ),
    Reason.CERTIFICATE_EXPIRES: (
        "{where}: un certificato del gateway scade presto{detail}; "
        "rinnovarlo prima che il collegamento sia rifiutato."
    ),
    Reason.CONFIG_NOT_IN_FORCE: (
        "{where}: la nuova configurazione non è in vigore{detail}; resta la precedente."
    ),
    Reason.MOVED: (
        "{where}: stazione fissa a {moved} dal suo posto; le letture non sono affidabili."
    ),
}

_BRIEF = {
    Reason.LEVEL: "{where} legge come {agent}, {spoken}{trend}, {above} {level_short}.",
    Reason.EXTREME_LEVEL: "ESTREMO. {where} legge {agent}, {spoken}{trend}, {above} {level_short}.",
    Reason.NOTICE_LEVEL: (
        "Nota. {where} legge come {agent}, {spoken}{trend}, {above} {level_short}."
    ),
    Reason.EXPOSURE_EXCEEDED: "{where}: {level}, {agent}, {spoken}; ora {now}.",
    Reason.INDICATIVE_LEVEL: (
        "{where}, sensore indicativo, legge come {agent}, {spoken}{trend}. Trattare come reale."
    ),
    Reason.INSTRUMENT_ALARM: "{where}: allarme dello strumento, {agent}, indica {shown}.",
    Reason.CLASS_DETECTION: "{where}: il rivelatore segnala {agent}{bars}.",
    Reason.RADIATION_INVESTIGATE: "{where}: {agent} {spoken}, insolito, indagare.",
    Reason.RADIATION_ELEVATED: "{where}: {agent} {spoken}{ratio}, sorgente non localizzata.",
    Reason.RADIATION_BOUNDARY: "{where}: {agent} {spoken}, area di pericolo, sorgente ignota.",
    Reason.RADIATION_HOT: "ZONA CALDA. {where}: {agent} {spoken}, sorgente non localizzata.",
    Reason.RADIATION_TURN_BACK: "TORNARE INDIETRO. {where}: {agent} {spoken}.",
    Reason.EXPLAINED_BY_ALTITUDE: "{where}: {agent} {spoken}, spiegato dalla quota.",
    Reason.STALE: "{where} {channel}: nessuna lettura, non sorveglia.",
    Reason.INSTRUMENT_FAULT: "{where} {channel}: guasto dello strumento, non sorveglia.",
    Reason.INSTRUMENT_INHIBITED: "{where} {channel}: inibito, non sorveglia.",
    Reason.STEP: "{where}: salto {jump}. Probabile guasto del sensore, gas non escluso.",
    Reason.SPIKE: "{where} {channel}: un solo campione anomalo, conservato come prova.",
    Reason.STUCK: "{where} {channel}: il valore non cambia, non affidabile.",
    Reason.NOT_IN_SERVICE: "{where} non è in servizio; gli allarmi scattano comunque.",
    Reason.RADIO_DOWN: "{where}: la radio {about} del gateway non funziona.",
    Reason.LINK_DOWN: "{where}: nessun contatto, l'ultimo stato noto può essere errato.",
    Reason.DELIVERY_REFUSED: "{where}: un destinatario ha rifiutato un messaggio o un abbonamento.",
    Reason.STORE_FAILED: "{where}: {store}; gli allarmi continuano.",
    Reason.ALERT_INCOMPLETE: "{where}: un avviso è partito in forma breve.",
    Reason.LOOP_LATE: "{where}: il gateway è stato trattenuto; allarmi forse in ritardo.",
    Reason.PATH_UNPROVEN: "{where}: percorso verso la sala operativa {about} non provato.",
    Reason.COVERAGE_LOST: "{where}: {agent} ora non rilevabile.",
    Reason.CLOCK_SET: ("{where}: l'orologio del gateway è stato regolato."),
    Reason.CLOCK_UNSYNCED: ("{where}: l'orologio del gateway non è sincronizzato."),
    Reason.CERTIFICATE_EXPIRES: "{where}: un certificato del gateway scade presto.",
    Reason.CONFIG_NOT_IN_FORCE: "{where}: la nuova configurazione non è in vigore.",
    Reason.MOVED: "{where}: stazione spostata, {moved}; letture non affidabili.",
}

_STATES = {
    AlarmState.PENDING: "",
    AlarmState.UNACK: "",
    AlarmState.ACK: "Preso in carico da {acked_by} {acked_at}; ancora attivo.",
    AlarmState.RTN_UNACK: "Nessuno lo ha ancora preso in carico.",
    AlarmState.LATCHED: "Resta aperto finché una persona non lo chiude.",
    AlarmState.SHELVED: "Accantonato fino a {until}.",
    AlarmState.SUPPRESSED: "Soppresso per progetto; resta registrato.",
    AlarmState.OUT_OF_SERVICE: "Fuori servizio fino a {until}; intanto non sorvegliato.",
    AlarmState.NORMAL: "Questo allarme è chiuso.",
}

_PHRASES = {
    Phrase.EXERCISE: "ESERCITAZIONE{name} – ",
    Phrase.TEST: "PROVA – ",
    Phrase.REAL_DURING_EXERCISE: "REALE – NON FA PARTE DELL'ESERCITAZIONE{name}: ",
    Phrase.BELOW: "sotto {limit}",
    Phrase.BELOW_DETECTION: "sotto il limite di rilevabilità",
    Phrase.OVER_RANGE: "≥ {limit} (oltre il campo di misura)",
    Phrase.NO_VALUE: "nessun valore",
    Phrase.RISING: " e in aumento",
    Phrase.FALLING: " e in calo",
    Phrase.ABOVE: "oltre",
    Phrase.WAS_ABOVE: "è stato oltre",
    Phrase.HIGHEST: "Massimo finora {peak}{at}.",
    Phrase.UNUSUAL: "quanto è insolito per la stazione",
    Phrase.SHOWN: "Lo strumento indica {shown}; valore finale atteso {amount}.",
    Phrase.SHOWN_COUNTED: "Lo strumento indica ora {shown}; in media {amount}.",
    Phrase.NOW: "Ora {now}{trend}; lo strumento indica {shown}.",
    Phrase.NOW_ABOVE: "Ora {now}{trend}, oltre {now_level}; lo strumento indica {shown}.",
    Phrase.ONE_AND_ONE: "Una stazione, una tecnologia.",
    Phrase.COUNTS: "{stations}, {technologies}.",
    Phrase.COUNTS_OF: "{over} stazioni su {watching}, {technologies}.",
    Phrase.STATION_ONE: "1 stazione",
    Phrase.STATION_MANY: "{count} stazioni",
    Phrase.TECHNOLOGY_ONE: "1 tecnologia",
    Phrase.TECHNOLOGY_MANY: "{count} tecnologie",
    Phrase.JUMP: "di {change} in {duration}",
    Phrase.OTHER_INSTRUMENT: "un altro strumento (id {id}) su questa porta",
    Phrase.SUDDENLY: "improvviso",
    Phrase.FOR: " da {duration}",
    Phrase.MOVED_UNKNOWN: "distanza ignota",
    Phrase.BARS: ", {bars} barre su 8",
    Phrase.STORE_FAILS: "guasto di un archivio di questo gateway",
    Phrase.DISK_NEARLY_FULL: "il disco di questo gateway è quasi pieno",
    Phrase.DISK_FULL: "il disco di questo gateway è pieno",
    Phrase.DISK_SILENT: "il disco di questo gateway non risponde",
    Phrase.JOURNAL_LARGE: "il registro di questo gateway occupa gran parte del disco",
    Phrase.FREE_MB: "{free} MB liberi, le letture più vecchie fanno posto",
    Phrase.TAKEN_MB: "{taken} MB",
    Phrase.SILENT_SINCE: "dalle {since}",
    Phrase.SINGLE_SENSOR: "Un solo sensore, trattare come reale.",
    Phrase.ALSO_ANSWERS_TO: "Il sensore risponde anche a {others}.",
    Phrase.ALSO_EXPLAINED: "Spiegato anche da {explanation}.",
    Phrase.DECLARED: "Dichiarato qui: {declared}.",
    Phrase.PLACE: "MISURATO QUI, sorgente ignota: {place}.",
    Phrase.CERTAINTY: "Certezza: {certainty}.",
    Phrase.CERTAINTY_BY_PERSON: "Certezza stabilita da una persona: {person}, metodo: {method}.",
    Phrase.SINCE: "Dalle {since}.",
    Phrase.CHANGED: "Alle {changed}.",
    Phrase.NORMAL_RATIO: " = {ratio} × il normale della stazione",
    Phrase.NEAR_SOURCE: (
        "Qui vicino c'è una sorgente: intensità e posto non ancora noti. "
        "Una sorgente può essere vicina a qualcuno; intensità ignota finché non è localizzata. "
        "Tenere tutti a ≥ {distance} dall'area sospetta; non cercare senza dosimetro "
        "({distance}: {distance_source})."
    ),
    Phrase.MOVING: "aumento gamma in movimento: ",
    Phrase.BACKGROUND_NOT_COMMISSIONED: "Nota: fondo non stabilito alla messa in opera.",
    Phrase.LIMIT_UNSIGNED: "Nota: limite non approvato dalla città.",
    Phrase.SITE_NOT_IN_SERVICE: "Nota: sito non in servizio ({reason}).",
    Phrase.NOT_IN_SERVICE_DEFAULT: "non approvato per il servizio",
    Phrase.RETURNED_HAZARD: (
        "{agent}: lettura di nuovo sotto {level_limit} presso {stations}; "
        "area NON dichiarata agibile."
    ),
    Phrase.RETURNED_RADIATION: (
        "{agent}: lettura di nuovo sotto {level_limit} presso {stations}; "
        "area NON dichiarata agibile. Sorgente rimossa o schermata? Serve una persona."
    ),
    Phrase.RETURNED_TECHNICAL: "{where} {channel}: non più segnalato ({condition}).",
    Phrase.LAST_VALUE: "Ultimo valore oltre: {amount}.",
    Phrase.ESCALATED: "Suona di nuovo: livello, certezza o area cambiati, oppure è tornato.",
    Phrase.PERSON: "operatore",
    Phrase.WORDS_OF: "{person}: “{words}”.",
    Phrase.NOT_DETECTABLE: "{agent}, {level}: non rilevabile qui",
    Phrase.OUTSIDE_THE_LINE: "Area disegnata: anche fuori dalla linea può essere pericoloso.",
    Phrase.NO_SOURCE_SINGLE: "una sola stazione non può dire dove sia la sorgente",
    Phrase.NO_SOURCE_YET: "nessuna regione della sorgente è stata calcolata per l'evento",
    Phrase.LEAST: (
        "Allarme di priorità {priority}. Non si sono potuti scrivere i particolari: agire secondo "
        "la priorità e guardare il gateway."
    ),
    Phrase.LEAST_RETURNED: (
        "Allarme di priorità {priority} rientrato. Non si sono potuti scrivere i particolari: "
        "guardare il gateway; area NON dichiarata agibile."
    ),
    Phrase.NO_AREA: "nessuna area disegnata: usare le stazioni di misura e il cordone stabilito",
    Phrase.UNTIL_UNKNOWN: "decisione di una persona",
    Phrase.KEEP_AWAY_CHEMICAL: "Allontanare le persone, di traverso al vento.",
    Phrase.KEEP_AWAY_RADIATION: "Tenere tutti a {distance}.",
    Phrase.KEEP_AWAY_BIOLOGICAL: "Allontanare le persone, prelevare un campione.",
}

ITALIAN = Catalogue(
    language="it",
    decimal_mark=",",
    what=_WHAT,
    brief=_BRIEF,
    states=_STATES,
    certainty={
        Certainty.POSSIBLE: "possibile",
        Certainty.PROBABLE: "probabile",
        Certainty.CONFIRMED: "stabilita da una persona",
    },
    basis={
        Basis.MOMENTARY: "valore istantaneo",
        Basis.RUNNING_MEAN: "media mobile",
        Basis.TOXIC_LOAD: "carico tossico pari a un valore costante di",
        Basis.STATISTICS: "statistica, ora",
        Basis.INSTRUMENT_ALARM: "allarme dello strumento,",
    },
    classes={
        DetectionClass.NERVE: "classe nervini",
        DetectionClass.BLISTER: "classe vescicanti",
        DetectionClass.BLOOD: "classe emotossici",
        DetectionClass.CHOKING: "classe soffocanti",
        DetectionClass.TIC: "sostanza chimica industriale tossica",
        DetectionClass.BIO_TRIGGER: "particelle biologiche insolite",
        DetectionClass.RADIATION: "radiazione",
        DetectionClass.EXPLOSIVE: "vapore di esplosivo",
        DetectionClass.OTHER: "sostanza non nominata",
    },
    quantities={
        "gamma": "gamma",
        "neutron": "neutroni",
        "dose": "dose",
        "bio": "particelle biologiche",
        "bacteria": "batteri aerodispersi",
        "pm": "particelle",
        "particle": "particelle",
        "": "sostanza non nominata",
    },
    levels=(
        (
            r"(AEGL-\d) (\d+)-min concentration \(momentary\)",
            r"la concentrazione \1 a \2 min (istantanea)",
        ),
        (r"(AEGL-\d) \((\d+) min\) exceeded", r"\1 (\2 min) superato"),
        (r"\(momentary\)", "(istantanea)"),
        (r"\bexceeded\b", "superato"),
        (r"^store fails$", "guasto di un archivio"),
        (r"^disk nearly full$", "disco quasi pieno"),
        (r"^radio does not work$", "la radio non funziona"),
        (r"^disk full$", "disco pieno"),
        (r"^disk does not answer$", "il disco non risponde"),
        (r"^journal is large$", "registro molto grande"),
    ),
    phrases=_PHRASES,
)
