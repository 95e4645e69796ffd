/* Round trips of MQTT clients over libmosquitto, one thread, epoll: what a C client makes of the work of benchmarks/peers.py.

   cc -O2 -o mqtt_round_trips mqtt_round_trips.c -lmosquitto
   mqtt_round_trips PORT CLIENTS SECONDS

   Each client subscribes to a topic of its own and publishes 200 bytes to it at QoS 1; as they come back it publishes again.
   Prints the round trips within SECONDS, once every client is there, and the CPU seconds they took. */
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { PAYLOAD_BYTES = 200, EVENTS = 256, MISC_EVERY_S = 1 };

struct client {
    struct mosquitto *mosq;
    char topic[32];
    int writes;
};

static char payload[PAYLOAD_BYTES];
static long trips;
static int there, epoll;

static double now_s(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void again(struct client *client) {
    mosquitto_publish(client->mosq, NULL, client->topic, PAYLOAD_BYTES, payload, 1, 0);
}

static void connected(struct mosquitto *mosq, void *data, int code) {
    struct client *client = data;
    if (code != 0)
        exit(1);
    mosquitto_subscribe(mosq, NULL, client->topic, 1);
}

static void subscribed(struct mosquitto *mosq, void *data, int id, int count, const int *granted) {
    (void)mosq, (void)id, (void)count, (void)granted;
    there++;
    again(data);
}

static void message(struct mosquitto *mosq, void *data, const struct mosquitto_message *came) {
    (void)mosq, (void)came;
    trips++;
    again(data);
}

/* Waits for room to write only while there is something to be written. */
static void watch(struct client *client, int how) {
    int writes = mosquitto_want_write(client->mosq);
    if (how == EPOLL_CTL_MOD && writes == client->writes)
        return;
    client->writes = writes;
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = client};
    epoll_ctl(epoll, how, mosquitto_socket(client->mosq), &event);
}

static void run_until(double end_s, struct client *clients, int count, int wanted) {
    struct epoll_event events[EVENTS];
    double misc_s = now_s();
    while (now_s() < end_s && (!wanted || there < wanted)) {
        int ready = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].events & EPOLLIN && mosquitto_loop_read(client->mosq, 1) != MOSQ_ERR_SUCCESS)
                exit(2);
            if (events[i].events & EPOLLOUT && mosquitto_loop_write(client->mosq, 1) != MOSQ_ERR_SUCCESS)
                exit(3);
            watch(client, EPOLL_CTL_MOD);
        }
        if (now_s() - misc_s > MISC_EVERY_S) {
            for (int i = 0; i < count; i++)
                mosquitto_loop_misc(clients[i].mosq);
            misc_s = now_s();
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 64;
    int port = atoi(argv[1]), count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    struct client *clients = calloc(count, sizeof *clients);
    mosquitto_lib_init();
    epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        snprintf(clients[i].topic, sizeof clients[i].topic, "q/1/d/c%06d/bus", i);
        clients[i].mosq = mosquitto_new(NULL, 1, &clients[i]);
        mosquitto_connect_callback_set(clients[i].mosq, connected);
        mosquitto_subscribe_callback_set(clients[i].mosq, subscribed);
        mosquitto_message_callback_set(clients[i].mosq, message);
        mosquitto_int_option(clients[i].mosq, MOSQ_OPT_TCP_NODELAY, 1);
        if (mosquitto_connect(clients[i].mosq, "127.0.0.1", port, 120) != MOSQ_ERR_SUCCESS)
            return 4;
        watch(&clients[i], EPOLL_CTL_ADD);
    }
    run_until(now_s() + 60, clients, count, count);
    if (there < count)
        return 5;
    run_until(now_s() + 1, clients, count, 0);
    long before = trips;
    double began_s = now_s(), used_s = cpu_s();
    run_until(began_s + seconds, clients, count, 0);
    printf("{\"trips\": %ld, \"seconds\": %.6f, \"cpu_s\": %.6f}\n", trips - before, now_s() - began_s, cpu_s() - used_s);
    return 0;
}
