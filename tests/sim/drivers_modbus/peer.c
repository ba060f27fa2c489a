/* An independent Modbus device, framed and checked by libmodbus: the other end of the tests.
 *
 *   peer tcp PORT UNIT:SIZE...           one server, several units (0: any free port)
 *   peer rtu UNIT:SIZE:TTY...            one serial line for each unit
 *
 * Prints "ready PORT". Then each line "UNIT ADDRESS WORD" on stdin sets a holding register
 * and is answered by "ok"; a unit has SIZE registers, the next one is refused. A read of the
 * unit it is not is not answered. Words are set raw: modbus_set_float_abcd of libmodbus 3.1.6
 * stores swapped bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_UNITS = 16, MOST_CLIENTS = 32 };

static struct unit {
    int id;
    modbus_mapping_t *registers;
    modbus_t *line;
} units[MOST_UNITS];
static int unit_count;
static int clients[MOST_CLIENTS];
static int client_count;

static struct unit *unit_of(int id)
{
    for (int i = 0; i < unit_count; i++)
        if (units[i].id == id)
            return &units[i];
    return NULL;
}

static void add_unit(const char *text)
{
    struct unit *unit = &units[unit_count++];
    int size = 0;
    char tty[256] = "";
    if (sscanf(text, "%d:%d:%255s", &unit->id, &size, tty) < 2)
        exit(64);
    unit->registers = modbus_mapping_new(0, 0, size, size);
    if (!*tty)
        return;
    unit->line = modbus_new_rtu(tty, 115200, 'N', 8, 1);
    modbus_set_slave(unit->line, unit->id);
    if (modbus_connect(unit->line)) {
        perror(tty);
        exit(65);
    }
}

static void obey(void)
{
    static char text[64];
    static size_t used;
    char octet;
    if (read(0, &octet, 1) != 1)
        exit(0);
    if (octet != '\n') {
        if (used < sizeof text - 1)
            text[used++] = octet;
        return;
    }
    text[used] = 0;
    used = 0;
    int id, address, word;
    struct unit *unit;
    if (sscanf(text, "%d %d %d", &id, &address, &word) != 3 || !(unit = unit_of(id))
        || address >= unit->registers->nb_registers)
        exit(66);
    unit->registers->tab_registers[address] = word;
    puts("ok");
    fflush(stdout);
}

static int listen_on(modbus_t *server, int *port)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    int listener = modbus_tcp_listen(server, 8);
    if (listener < 0) {
        perror("listen");
        exit(67);
    }
    getsockname(listener, (struct sockaddr *)&at, &size);
    *port = ntohs(at.sin_port);
    return listener;
}

static void accept_client(modbus_t *server, int listener)
{
    int at = listener;
    if (modbus_tcp_accept(server, &at) >= 0 && client_count < MOST_CLIENTS)
        clients[client_count++] = modbus_get_socket(server);
}

/* Returns 0 when the client is gone. */
static int serve_client(modbus_t *server, int client)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(server, client);
    int length = modbus_receive(server, query);
    if (length <= 0)
        return length == 0;
    struct unit *unit = unit_of(query[6]);
    if (unit)
        modbus_reply(server, query, length, unit->registers);
    return 1;
}

/* A line that vanished makes modbus_receive fail at once and for ever: leave. */
static void serve_line(struct unit *unit)
{
    uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
    int length = modbus_receive(unit->line, query);
    if (length > 0)
        modbus_reply(unit->line, query, length, unit->registers);
    else if (length < 0 && errno != EMBBADCRC && errno != ETIMEDOUT)
        exit(68);
}

int main(int count, char **words)
{
    if (count < 3)
        return 64;
    int is_tcp = !strcmp(words[1], "tcp"), listener = -1, port = is_tcp ? atoi(words[2]) : 0;
    for (int i = is_tcp ? 3 : 2; i < count && unit_count < MOST_UNITS; i++)
        add_unit(words[i]);
    modbus_t *server = NULL;
    if (is_tcp) {
        server = modbus_new_tcp("127.0.0.1", port);
        listener = listen_on(server, &port);
    }
    printf("ready %d\n", port);
    fflush(stdout);
    for (;;) {
        fd_set ready;
        FD_ZERO(&ready);
        FD_SET(0, &ready);
        if (listener >= 0)
            FD_SET(listener, &ready);
        for (int i = 0; i < client_count; i++)
            FD_SET(clients[i], &ready);
        for (int i = 0; i < unit_count; i++)
            if (units[i].line)
                FD_SET(modbus_get_socket(units[i].line), &ready);
        if (select(FD_SETSIZE, &ready, NULL, NULL, NULL) < 0)
            return 69;
        if (FD_ISSET(0, &ready))
            obey();
        for (int i = 0; i < client_count; i++)
            if (FD_ISSET(clients[i], &ready) && !serve_client(server, clients[i])) {
                close(clients[i]);
                clients[i--] = clients[--client_count];
            }
        if (listener >= 0 && FD_ISSET(listener, &ready))
            accept_client(server, listener);
        for (int i = 0; i < unit_count; i++)
            if (units[i].line && FD_ISSET(modbus_get_socket(units[i].line), &ready))
                serve_line(&units[i]);
    }
}
