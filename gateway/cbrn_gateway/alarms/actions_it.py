"""Italian example steps; every city replaces them with its own, approved ones."""

from cbrn_gateway.alarms.actions_types import Play, Role, Step, StepCatalogue

_KEEP_AWAY = Step(
    Role.EVERYONE,
    "Allontanare le persone da {stations}; di traverso al vento, non attraverso {stations}.",
)
_SECOND_TECHNOLOGY = Step(
    Role.RESPONDER,
    "Avvicinarsi sopravvento con protezione delle vie respiratorie; "
    "misurare con una seconda tecnologia.",
)
_NOBODY_LIFTS = Step(
    Role.SUPERVISOR,
    "Nessuno revoca una misura su questa sola lettura: decide una persona con un metodo nominato.",
)
_DISTANCE = Step(
    Role.EVERYONE,
    "Tenere tutti a ≥ {distance} dall'area sospetta intorno a {stations} "
    "({distance}: {distance_source}).",
)

ITALIAN_STEPS = StepCatalogue(
    language="it",
    steps={
        Play.CHEMICAL_ALARM: (
            _KEEP_AWAY,
            Step(
                Role.OPERATOR,
                "Chiamare i vigili del fuoco: legge come {agent}{transport}, {amount} "
                "presso {where}, posto della sorgente ignoto.",
            ),
            Step(Role.OPERATOR, "Far chiudere prese d'aria e porte presso {stations}."),
            _SECOND_TECHNOLOGY,
            _NOBODY_LIFTS,
        ),
        Play.CHEMICAL_INDICATIVE: (
            _KEEP_AWAY,
            Step(Role.OPERATOR, "Trattare come reale; cercare una seconda stazione o telecamera."),
            Step(
                Role.RESPONDER,
                "Verificare {agent} presso {where} sopravvento, vie respiratorie protette.",
            ),
        ),
        Play.CHEMICAL_NOTICE: (
            Step(Role.OPERATOR, "Osservare {where}; chiedere sul posto di odori e sintomi."),
            Step(Role.OPERATOR, "Mandare qualcuno a vedere, sopravvento, se continua a salire."),
        ),
        Play.CHEMICAL_CLASS: (
            _KEEP_AWAY,
            Step(
                Role.OPERATOR,
                "Chiamare i vigili del fuoco: il rivelatore presso {where} segnala {agent}.",
            ),
            Step(Role.EVERYONE, "Non toccare liquidi o superfici bagnate presso {stations}."),
            Step(Role.RESPONDER, "Protezione completa; preparare la decontaminazione sopravvento."),
            _NOBODY_LIFTS,
        ),
        Play.BIOLOGICAL: (
            Step(
                Role.RESPONDER,
                "Prelevare un campione presso {where}; conservare il filtro e annotare l'ora.",
            ),
            Step(Role.EVERYONE, "Allontanare le persone da {stations} fino al prelievo."),
            Step(Role.OPERATOR, "Non nominare un agente: lo può solo un laboratorio."),
        ),
        Play.RADIATION_INVESTIGATE: (
            Step(Role.RESPONDER, "Misurare vicino a {where} con il dosimetro acceso."),
            Step(Role.OPERATOR, "Osservare le stazioni vicine per una sorgente in movimento."),
        ),
        Play.RADIATION_ALARM: (
            _DISTANCE,
            Step(Role.EVERYONE, "Non cercare senza dosimetro; non toccare oggetti sconosciuti."),
            Step(
                Role.OPERATOR,
                "Chiamare la radioprotezione: {agent} {amount} presso {where}; "
                "intensità e posto della sorgente ignoti.",
            ),
            Step(Role.RESPONDER, "Tornare indietro al rateo di dose fissato per la missione."),
            _NOBODY_LIFTS,
        ),
        Play.RADIATION_TURN_BACK: (
            Step(Role.RESPONDER, "TORNARE INDIETRO subito per la stessa via; riferire la dose."),
            _DISTANCE,
            Step(Role.OPERATOR, "Nessuno oltrepassi {stations}; chiamare gli esperti."),
        ),
        Play.PHYSIOLOGICAL: (
            Step(Role.RESPONDER, "Far uscire l'operatore e farlo visitare dal medico."),
        ),
        Play.RETURNED: (
            Step(
                Role.OPERATOR,
                "Mantenere le misure: la lettura è scesa, l'area non è stata esaminata.",
            ),
            Step(Role.RESPONDER, "Misurare presso {stations} con una seconda tecnologia."),
            Step(Role.SUPERVISOR, "Chiudere solo con persona, metodo e motivo nominati."),
        ),
        Play.CHANNEL_SILENT: (
            Step(
                Role.TECHNICIAN,
                "Controllare {where} {channel}: alimentazione, cavo, radio, poi driver.",
            ),
            Step(Role.TECHNICIAN, "Prova con gas prima che torni a contare."),
            Step(Role.OPERATOR, "Considerare {where} {channel} non sorvegliato fino ad allora."),
        ),
        Play.CHANNEL_SUSPECT: (
            Step(Role.OPERATOR, "Gas o sorgente non esclusi: osservare i vicini di {where}."),
            Step(Role.TECHNICIAN, "Controllare {where} {channel} e provarlo con gas."),
        ),
        Play.STATION_MOVED: (
            Step(
                Role.OPERATOR, "Mandare la vigilanza al posto di {where}; guardare le telecamere."
            ),
            Step(Role.TECHNICIAN, "Ispezionare e rilevare di nuovo {where} prima che conti."),
        ),
        Play.SITE_NOT_IN_SERVICE: (
            Step(
                Role.SUPERVISOR, "Completare la consegna di {where} o avvisare le sale operative."
            ),
            Step(Role.OPERATOR, "Intanto trattare i suoi allarmi come reali."),
        ),
        Play.DELIVERY: (
            Step(Role.OPERATOR, "Riferire per telefono alle sale operative l'elenco che è qui."),
            Step(Role.TECHNICIAN, "Controllare collegamento, diritti del broker e certificati."),
        ),
        Play.RADIO: (
            Step(
                Role.OPERATOR, "Restare in contatto a voce con chi porta i sensori: dati assenti."
            ),
            Step(Role.TECHNICIAN, "Eseguire sul gateway quanto indica il testo, senza riavviarlo."),
        ),
        Play.STORE: (
            Step(Role.TECHNICIAN, "Liberare spazio o sostituire subito il disco."),
            Step(Role.OPERATOR, "Annotare gli allarmi a mano finché l'archivio non scrive."),
        ),
        Play.ALERT_INCOMPLETE: (
            Step(
                Role.OPERATOR,
                "Agire sull'avviso breve secondo la priorità; leggere il resto sullo strumento.",
            ),
            Step(
                Role.TECHNICIAN,
                "Cercare nel registro che cosa non si è potuto scrivere e inviarlo al produttore.",
            ),
        ),
        Play.GATEWAY_LATE: (
            Step(
                Role.TECHNICIAN,
                "Controllare il carico della macchina e il registro: cosa trattiene il gateway?",
            ),
            Step(Role.OPERATOR, "Contare su allarmi in ritardo finché non è risolto."),
        ),
        Play.ZONE_BLIND: (
            Step(
                Role.OPERATOR,
                "Sorvegliare la zona con pattuglie o rilevatori portatili fino al ripristino.",
            ),
            Step(Role.TECHNICIAN, "Andare ai sensori muti: alimentazione, cavo, collegamento."),
        ),
        Play.CLOCK: (
            Step(
                Role.TECHNICIAN,
                "Controllare la sorgente oraria e la batteria.",
            ),
            Step(Role.OPERATOR, "Confrontare l'ora dell'avviso con un orologio affidabile."),
        ),
        Play.CERTIFICATE: (
            Step(
                Role.TECHNICIAN,
                "Rinnovare il certificato del gateway e metterlo nel suo file; nessun riavvio.",
            ),
        ),
        Play.CONFIGURATION: (
            Step(Role.TECHNICIAN, "Correggere il file: cbrn-gateway config plan lo mostra."),
            Step(Role.TECHNICIAN, "Applicarlo di nuovo e attendere la fine della prova."),
        ),
        Play.EXPLAINED: (
            Step(Role.OPERATOR, "Verificare che la spiegazione sia giusta; altro non serve."),
        ),
    },
    cordon=Step(Role.OPERATOR, "Stabilire il cordone della città: {cordon} intorno a {stations}."),
    tolerance=Step(
        Role.RESPONDER, "ETW {hours} h {tolerance} superato: protezione delle vie respiratorie."
    ),
    example="ESEMPIO – non approvato dal vostro servizio",
    expired="SCADUTO – l'approvazione del vostro servizio è terminata",
    approved="approvato dal vostro servizio",
)
