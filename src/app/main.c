/* marugoto - the command line. */
#include "app.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *args;
    const char *help;
    int (*run)(struct app *app, int argc, char **argv);
    bool own_help; /* it explains its own options */
} commands[] = {
    {"serve", "", "serve the city until SIGTERM", command_serve},
    {"import", "FILE|URL --as KIND", "load open data, report each bad row", command_import, true},
    {"migrate", "orion --from URL", "copy a running FIWARE Orion, report what differs",
     command_migrate, true},
    {"backup", "FILE", "write a consistent copy while the city is in use", command_backup},
    {"restore", "FILE [--force]", "put a backup in place of an empty store", command_restore},
    {"export", "--to FILE|FOLDER", "write everything as NDJSON or CSV while the city is in use",
     command_export, true},
    {"check", "", "check rows, journal and indexes, also while the city is in use", command_check},
    {"edge", "enroll NAME", "give a node a token with which it exchanges changes", command_edge},
    {"account", "administrator|code|role", "the first administrator; codes and roles from here",
     command_account, true},
    {"audit", "verify|key [--help]", "check the log of who read what, here or at another city",
     command_audit, true},
    {"key", "new|revoke|list [NAME]", "keys: who may call from elsewhere, and with what policies",
     command_key},
    {"client", "add|change|list ...",
     "the parties that people sign in to, and programs with rights", command_client},
    {"policy", "set|end|list [NAME] [FILE]", "policies: what keys and the public may do",
     command_policy},
    {"config", "[--markdown]", "show every setting with its default", command_config},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void usage(FILE *out)
{
    fprintf(out, "marugoto %s, a city in one program\n\nusage: marugoto COMMAND [options]\n\n",
            MARUGOTO_VERSION);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        char head[64];
        snprintf(head, sizeof(head), "%s %s", commands[i].name, commands[i].args);
        fprintf(out, "  %-28s %s\n", head, commands[i].help);
    }
    fprintf(out, "\noptions of all commands:\n"
                 "  --data DIR          folder of the city's data (var/city)\n"
                 "  --store URL         sqlite:FILE or postgres://user@host/db (a file in --data)\n"
                 "  --config FILE       settings, one \"name = value\" a line\n"
                 "  --NAME=VALUE        any setting; also as environment MARUGOTO_NAME\n"
                 "\noptions of serve:\n"
                 "  --port N            (8080)\n"
                 "  --address ADDRESS   (127.0.0.1; :: for all addresses)\n"
                 "  --demo              load the demo city into an empty store first\n"
                 "  --allow-private     let it call loopback and private addresses\n"
                 "  --edge              hold a part of another city and work on without it\n"
                 "  --upstream URL      that city; see edge.* in the settings\n"
                 "\nAll settings: marugoto config\n");
}

static int explain(const char *name, const char *args, const char *help)
{
    printf("usage: marugoto %s %s\n\n  %s\n\noptions of all commands: marugoto --help\n", name,
           args, help);
    return 0;
}

bool app_asks_help(int argc, char **argv)
{
    return argc > 1 && (!strcmp(argv[argc - 1], "--help") || !strcmp(argv[argc - 1], "-h"));
}

int main(int argc, char **argv)
{
    struct app app = {0};
    struct error e = {0};
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("marugoto %s\n", MARUGOTO_VERSION);
        return 0;
    }
    argv++;
    argc--;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name))
            continue;
        int status = 2;
        if (options_load(&app.arena, &argc, argv, &app.options, &e))
            fprintf(stderr, "marugoto: %s\n", e.text);
        else if (app_asks_help(argc, argv) && !commands[i].own_help)
            status = explain(commands[i].name, commands[i].args, commands[i].help);
        else
            status = commands[i].run(&app, argc, argv);
        app_close(&app);
        return status;
    }
    fprintf(stderr, "marugoto: no command \"%s\"; try --help\n", argv[0]);
    return 2;
}
