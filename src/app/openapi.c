/*
 * /openapi.json (OpenAPI 3.1.0): made from the table of routes, so that it lists what is served and
 * nothing else. What a route is for stands in `summaries`; a test fails when one is missing there.
 */
#include "openapi.h"
#include "core/vec.h"

static const struct {
    const char *method, *pattern, *tag, *summary;
} summaries[] = {
#define LD "/ngsi-ld/v1"
    {"POST", LD "/entities", "entities", "Create an entity"},
    {"GET", LD "/entities", "entities", "Query entities"},
    {"DELETE", LD "/entities", "entities", "Purge entities"},
    {"GET", LD "/entities/{id}", "entities", "Retrieve an entity"},
    {"PUT", LD "/entities/{id}", "entities", "Replace an entity"},
    {"PATCH", LD "/entities/{id}", "entities", "Merge into an entity"},
    {"DELETE", LD "/entities/{id}", "entities", "Delete an entity"},
    {"POST", LD "/entities/{id}/attrs", "entities", "Append attributes"},
    {"PATCH", LD "/entities/{id}/attrs", "entities", "Update attributes"},
    {"GET", LD "/entities/{id}/attrs/{attr}", "entities", "Retrieve one attribute"},
    {"PATCH", LD "/entities/{id}/attrs/{attr}", "entities", "Update one attribute partially"},
    {"PUT", LD "/entities/{id}/attrs/{attr}", "entities", "Replace one attribute"},
    {"DELETE", LD "/entities/{id}/attrs/{attr}", "entities", "Delete one attribute"},
    {"GET", LD "/entities/{id}/attrs/{attr}/value", "entities", "Value of one attribute"},
    {"PUT", LD "/entities/{id}/attrs/{attr}/value", "entities",
     "Replace the value of one attribute"},
    {"POST", LD "/entityOperations/create", "batch", "Create many entities"},
    {"POST", LD "/entityOperations/upsert", "batch", "Create or update many entities"},
    {"POST", LD "/entityOperations/update", "batch", "Update many entities"},
    {"POST", LD "/entityOperations/delete", "batch", "Delete many entities"},
    {"POST", LD "/entityOperations/merge", "batch", "Merge into many entities"},
    {"POST", LD "/entityOperations/query", "entities", "Query entities by a body"},
    {"GET", LD "/types", "discovery", "Types in use"},
    {"GET", LD "/types/{type}", "discovery", "One type and its attributes"},
    {"GET", LD "/attributes", "discovery", "Attributes in use"},
    {"GET", LD "/attributes/{attr}", "discovery", "One attribute and its types"},
    {"POST", LD "/subscriptions", "subscriptions", "Subscribe to changes"},
    {"GET", LD "/subscriptions", "subscriptions", "List subscriptions"},
    {"GET", LD "/subscriptions/{id}", "subscriptions", "Retrieve a subscription"},
    {"PATCH", LD "/subscriptions/{id}", "subscriptions", "Update a subscription"},
    {"DELETE", LD "/subscriptions/{id}", "subscriptions", "Delete a subscription"},
    {"POST", LD "/temporal/entities", "history", "Add to the history of an entity"},
    {"GET", LD "/temporal/entities", "history", "Query histories"},
    {"GET", LD "/temporal/entities/{id}", "history", "History of an entity"},
    {"DELETE", LD "/temporal/entities/{id}", "history", "Delete the history of an entity"},
    {"POST", LD "/temporal/entities/{id}/attrs", "history", "Add attribute instances"},
    {"DELETE", LD "/temporal/entities/{id}/attrs/{attr}", "history",
     "Delete the history of an attribute"},
    {"PATCH", LD "/temporal/entities/{id}/attrs/{attr}/{instance}", "history",
     "Correct one instance"},
    {"DELETE", LD "/temporal/entities/{id}/attrs/{attr}/{instance}", "history",
     "Delete one instance"},
    {"POST", LD "/temporal/entityOperations/query", "history", "Query histories by a body"},
    {"POST", LD "/jsonldContexts", "contexts", "Host an @context"},
    {"GET", LD "/jsonldContexts", "contexts", "List known @contexts"},
    {"GET", LD "/jsonldContexts/{id}", "contexts", "Retrieve an @context"},
    {"DELETE", LD "/jsonldContexts/{id}", "contexts", "Delete or reload an @context"},
    {"POST", LD "/csourceRegistrations", "federation", "Register a context source"},
    {"GET", LD "/csourceRegistrations", "federation", "Query registrations"},
    {"GET", LD "/csourceRegistrations/{id}", "federation", "Retrieve a registration"},
    {"PATCH", LD "/csourceRegistrations/{id}", "federation", "Update a registration"},
    {"DELETE", LD "/csourceRegistrations/{id}", "federation", "Delete a registration"},
    {"POST", LD "/csourceSubscriptions", "federation", "Subscribe to registrations"},
    {"GET", LD "/csourceSubscriptions", "federation", "List subscriptions to registrations"},
    {"GET", LD "/csourceSubscriptions/{id}", "federation",
     "Retrieve a subscription to registrations"},
    {"PATCH", LD "/csourceSubscriptions/{id}", "federation",
     "Update a subscription to registrations"},
    {"DELETE", LD "/csourceSubscriptions/{id}", "federation",
     "Delete a subscription to registrations"},
    {"GET", LD "/entityMaps", "federation", "Make the entity map of a query"},
    {"POST", LD "/entityMaps", "federation", "Make the entity map of a query in the body"},
    {"GET", LD "/temporal/entityMaps", "federation", "Make the entity map of a temporal query"},
    {"POST", LD "/temporal/entityMaps", "federation",
     "Make the entity map of a temporal query in the body"},
    {"GET", LD "/entityMaps/{id}", "federation", "Retrieve an entity map"},
    {"PATCH", LD "/entityMaps/{id}", "federation", "Change an entity map"},
    {"DELETE", LD "/entityMaps/{id}", "federation", "Forget an entity map"},
    {"POST", LD "/snapshots", "entities", "Copy what queries find into a snapshot"},
    {"DELETE", LD "/snapshots", "entities", "Delete the snapshots that q describes"},
    {"GET", LD "/snapshots/{id}", "entities", "Retrieve the description of a snapshot"},
    {"PATCH", LD "/snapshots/{id}", "entities", "Change priority, lifetime or endpoint"},
    {"DELETE", LD "/snapshots/{id}", "entities", "Delete a snapshot"},
    {"POST", LD "/snapshots/{id}/clone", "entities", "Copy a snapshot"},
    {"GET", LD "/info/sourceIdentity", "discovery", "Who answers here"},
#undef LD
#define V2 "/v2"
    {"GET", V2, "ngsiv2", "Where to begin (NGSIv2)"},
    {"GET", V2 "/entities", "ngsiv2", "Query entities"},
    {"POST", V2 "/entities", "ngsiv2", "Create an entity"},
    {"GET", V2 "/entities/{id}", "ngsiv2", "Retrieve an entity"},
    {"DELETE", V2 "/entities/{id}", "ngsiv2", "Delete an entity"},
    {"GET", V2 "/entities/{id}/attrs", "ngsiv2", "Retrieve the attributes of an entity"},
    {"POST", V2 "/entities/{id}/attrs", "ngsiv2", "Update or append attributes"},
    {"PATCH", V2 "/entities/{id}/attrs", "ngsiv2", "Update attributes that exist"},
    {"PUT", V2 "/entities/{id}/attrs", "ngsiv2", "Replace all attributes"},
    {"GET", V2 "/entities/{id}/attrs/{attr}", "ngsiv2", "Retrieve one attribute"},
    {"PUT", V2 "/entities/{id}/attrs/{attr}", "ngsiv2", "Update one attribute"},
    {"DELETE", V2 "/entities/{id}/attrs/{attr}", "ngsiv2", "Delete one attribute"},
    {"GET", V2 "/entities/{id}/attrs/{attr}/value", "ngsiv2", "Value of one attribute"},
    {"PUT", V2 "/entities/{id}/attrs/{attr}/value", "ngsiv2", "Update the value of one attribute"},
    {"GET", V2 "/types", "ngsiv2", "Types in use"},
    {"GET", V2 "/types/{type}", "ngsiv2", "One type and its attributes"},
    {"GET", V2 "/subscriptions", "ngsiv2", "List subscriptions"},
    {"POST", V2 "/subscriptions", "ngsiv2", "Subscribe to changes"},
    {"GET", V2 "/subscriptions/{id}", "ngsiv2", "Retrieve a subscription"},
    {"PATCH", V2 "/subscriptions/{id}", "ngsiv2", "Update a subscription"},
    {"DELETE", V2 "/subscriptions/{id}", "ngsiv2", "Delete a subscription"},
    {"GET", V2 "/registrations", "ngsiv2", "List context providers"},
    {"POST", V2 "/registrations", "ngsiv2", "Register a context provider"},
    {"GET", V2 "/registrations/{id}", "ngsiv2", "Retrieve a context provider"},
    {"PATCH", V2 "/registrations/{id}", "ngsiv2", "Update a context provider"},
    {"DELETE", V2 "/registrations/{id}", "ngsiv2", "Delete a context provider"},
    {"POST", V2 "/op/update", "ngsiv2", "Change many entities"},
    {"POST", V2 "/op/query", "ngsiv2", "Query entities by a body"},
    {"POST", V2 "/op/notify", "ngsiv2", "Take in a notification of another broker"},
#undef V2
    {"GET", "/version", "ngsiv2", "Version, as clients of Orion ask for it"},
    {"GET", "/link/v1/stream", "streams", "Live changes (server-sent events or WebSocket)"},
    {"GET", "/link/v1/sources", "operation", "Sources and their freshness"},
    {"GET", "/link/v1/deliveries", "operation", "Subscriptions and their deliveries"},
    {"GET", "/link/v1/deliveries/{id}", "operation", "One delivery and what was done to it"},
    {"GET", "/link/v1/deliveries/{id}/waiting", "operation", "Notifications that wait"},
    {"POST", "/link/v1/deliveries/{id}/pause", "operation", "Hold a delivery"},
    {"POST", "/link/v1/deliveries/{id}/resume", "operation", "Let a held delivery go on"},
    {"POST", "/link/v1/deliveries/{id}/retry", "operation", "Try a delivery again at once"},
    {"POST", "/link/v1/deliveries/{id}/skip", "operation", "Pass over what waits"},
    {"POST", "/link/v1/deliveries/{id}/replay", "operation", "Deliver again from a position"},
    {"POST", "/link/v1/sync/nodes", "nodes", "Enrol a node that holds a part of the city"},
    {"GET", "/link/v1/sync/nodes", "nodes", "Nodes, the city of an edge, and how far each is"},
    {"DELETE", "/link/v1/sync/nodes/{name}", "nodes", "Dismiss a node"},
    {"GET", "/link/v1/sync/digest", "nodes", "One number for the state of a part"},
    {"POST", "/link/v1/sync/sessions", "nodes", "A node says where it is"},
    {"GET", "/link/v1/sync/changes", "nodes", "Changes for a node"},
    {"POST", "/link/v1/sync/changes", "nodes", "Changes from a node"},
    {"POST", "/link/v1/sync/entities", "nodes", "Whole states, both ways"},
    {"POST", "/link/v1/sync/evolution", "nodes", "Evolution that both sides should hold"},
    {"GET", "/link/v1/conflicts", "nodes", "Values of which neither writer had seen the other's"},
    {"POST", "/link/v1/conflicts/{id}", "nodes", "Settle a conflict by choosing a value"},
    {"POST", "/link/v1/import", "import", "Import a file of open data"},
    {"GET", "/link/v1/imports", "import", "Imports and their progress"},
    {"GET", "/link/v1/imports/{n:int}", "import", "Progress and report of an import"},
    {"GET", "/link/v1/importKinds", "import", "Kinds of data sets that can be imported"},
    {"GET", "/link/v1/export.ndjson", "export", "Entities as newline-delimited JSON"},
    {"GET", "/link/v1/export/everything.ndjson", "export",
     "Everything, history, subscriptions and policies included"},
    {"GET", "/link/v1/export.csv", "export", "Entities as CSV"},
    {"GET", "/link/v1/export.geojson", "export", "Entities as GeoJSON"},
    {"GET", "/link/v1/keys", "access", "Keys"},
    {"POST", "/link/v1/keys", "access", "Make a key; it is shown this once"},
    {"DELETE", "/link/v1/keys/{name}", "access", "Revoke a key"},
    {"GET", "/link/v1/policies", "access", "Policies, version by version"},
    {"PUT", "/link/v1/policies/{name}", "access", "A new version of a policy"},
    {"DELETE", "/link/v1/policies/{name}", "access", "End a policy"},
    {"GET", "/link/v1/access/explain", "access", "What decides about a case"},
    {"GET", "/open/{type}.csv", "export", "A data set as CSV"},
    {"GET", "/open/{type}.json", "export", "A data set as JSON"},
    {"GET", "/open/{type}.geojson", "export", "A data set as GeoJSON"},
    {"GET", "/tiles/{layer}/{z:int}/{x:int}/{y:int}.mvt", "map", "Vector tile"},
    {"GET", "/.well-known/openid-configuration", "identity", "Metadata of the OpenID Provider"},
    {"GET", "/.well-known/oauth-authorization-server", "identity", "The same for OAuth (RFC 8414)"},
    {"GET", "/oidc/jwks", "identity", "Keys to verify its tokens with"},
    {"GET", "/oidc/authorize", "identity", "Where a browser gets a code"},
    {"POST", "/oidc/authorize", "identity", "The same as a form"},
    {"GET", "/oidc/authorize/continue", "identity", "Back from signing in"},
    {"POST", "/oidc/authorize/decide", "identity", "The consent page's answer"},
    {"POST", "/oidc/par", "identity", "Push an authorization request (RFC 9126)"},
    {"POST", "/oidc/device_authorization", "identity",
     "Codes for a device without a keyboard (RFC 8628)"},
    {"POST", "/oidc/device/verify", "identity", "The device page's code"},
    {"GET", "/oidc/userinfo", "identity", "What a client may know about somebody"},
    {"POST", "/oidc/userinfo", "identity", "The same"},
    {"GET", "/oidc/logout", "identity", "Sign out by a client's request"},
    {"POST", "/oidc/logout", "identity", "The same as a form"},
    {"POST", "/oidc/token", "identity", "Tokens"},
    {"POST", "/oidc/introspect", "identity", "What a token is good for (RFC 7662)"},
    {"POST", "/oidc/revoke", "identity", "End a token (RFC 7009)"},
    {"GET", "/trust/v1/clients", "identity", "Registered clients"},
    {"POST", "/trust/v1/clients", "identity", "Register a client; its secret is shown this once"},
    {"GET", "/trust/v1/clients/{id}", "identity", "A client's metadata"},
    {"PUT", "/trust/v1/clients/{id}", "identity", "Replace a client's metadata"},
    {"DELETE", "/trust/v1/clients/{id}", "identity", "Remove a client and end its tokens"},
    {"POST", "/trust/v1/clients/{id}/secret", "identity", "A new secret; the old one ends"},
    {"GET", "/trust/v1/catalogue/{kind}", "consent", "Entries of the catalogue"},
    {"GET", "/trust/v1/catalogue/{kind}/{code}", "consent", "An entry, version by version"},
    {"PUT", "/trust/v1/catalogue/{kind}/{code}", "consent", "A new version of an entry"},
    {"DELETE", "/trust/v1/catalogue/{kind}/{code}", "consent", "End an entry"},
    {"POST", "/trust/v1/consents", "consent", "Ask a person for their consent"},
    {"POST", "/trust/v1/decisions", "consent", "May I see these data of this person?"},
    {"GET", "/trust/v1/my/consents", "consent", "One's own consents"},
    {"GET", "/trust/v1/my/consents/{id}", "consent", "One of them, and what it says"},
    {"POST", "/trust/v1/my/consents/{id}", "consent", "Give, refuse or withdraw it"},
    {"GET", "/trust/v1/my/consents/{id}/receipt", "consent", "Its receipt: signed, or as FHIR"},
    {"GET", "/log/checkpoint", "log", "Newest signed head of the log of who read what"},
    {"GET", "/log/key", "log", "Public key of the log"},
    {"GET", "/log/tile/{n:int}/{path:rest}", "log", "Hashes of the log's tree"},
    {"GET", "/log/tile/entries/{path:rest}", "log", "Published texts of entries"},
    {"GET", "/log/v1/entries/{n:int}", "log", "One entry with its proof"},
    {"GET", "/log/v1/growth", "log", "Proof that one head is the beginning of another"},
    {"GET", "/healthz", "operation", "The process is alive"},
    {"GET", "/readyz", "operation", "Reads and writes work"},
    {"GET", "/metrics", "operation", "Metrics for Prometheus"},
    {"GET", "/openapi.json", "operation", "This description"},
};

struct listing {
    struct json_writer w;
    const struct router *router;
    struct str path; /* whose operations are being written */
};

/* "{z:int}" becomes "{z}". */
static struct str plain_path(struct arena *a, struct str pattern)
{
    struct buf b = BUF_INIT;
    bool kind = false;
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] == ':' && i && pattern.p[i - 1] != '/')
            kind = true;
        if (pattern.p[i] == '}')
            kind = false;
        if (!kind)
            buf_char(&b, pattern.p[i]);
    }
    struct str out = buf_dup(&b, a);
    buf_release(&b);
    return out;
}

static void write_parameters(struct json_writer *w, struct str pattern)
{
    json_w_key(w, S("parameters"));
    json_w_array(w);
    while (pattern.n) {
        ptrdiff_t open = str_find_char(pattern, '{'), close = str_find_char(pattern, '}');
        if (open < 0)
            break;
        struct str name = str_sub(pattern, (size_t)open + 1, (size_t)(close - open - 1));
        bool integer = str_ends(name, S(":int"));
        ptrdiff_t colon = str_find_char(name, ':');
        json_w_object(w);
        json_w_kstr(w, S("name"), colon < 0 ? name : str_sub(name, 0, (size_t)colon));
        json_w_kstr(w, S("in"), S("path"));
        json_w_kbool(w, S("required"), true);
        json_w_key(w, S("schema"));
        json_w_object(w);
        json_w_kstr(w, S("type"), integer ? S("integer") : S("string"));
        json_w_end(w);
        json_w_end(w);
        pattern = str_from(pattern, (size_t)close + 1);
    }
    json_w_end(w);
}

static void write_operation(struct json_writer *w, const struct route *route)
{
    char method[8] = {0};
    for (size_t i = 0; i < sizeof(method) - 1 && route->method[i]; i++)
        method[i] = (char)(route->method[i] | 0x20);
    json_w_key(w, str_c(method));
    json_w_object(w);
    for (size_t i = 0; i < sizeof(summaries) / sizeof(summaries[0]); i++) {
        if (!str_eq(str_c(summaries[i].method), str_c(route->method)) ||
            !str_eq(str_c(summaries[i].pattern), str_c(route->pattern)))
            continue;
        json_w_kstr(w, S("summary"), str_c(summaries[i].summary));
        json_w_key(w, S("tags"));
        json_w_array(w);
        json_w_str(w, str_c(summaries[i].tag));
        json_w_end(w);
    }
    write_parameters(w, str_c(route->pattern));
    json_w_key(w, S("responses"));
    json_w_object(w);
    json_w_key(w, S("default"));
    json_w_object(w);
    json_w_kstr(w, S("description"), S("The result, or a problem (RFC 9457)"));
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

static bool listed(const struct route *route)
{
    return !(route->flags & ROUTE_HIDDEN);
}

static void write_same_path(void *arg, const struct route *route)
{
    struct listing *l = arg;
    if (listed(route) && str_eq(str_c(route->pattern), l->path))
        write_operation(&l->w, route);
}

struct first_of_path {
    struct listing *l;
    struct arena *arena;
    VEC(struct str) seen;
};

static void write_path_once(void *arg, const struct route *route)
{
    struct first_of_path *f = arg;
    struct str pattern = str_c(route->pattern);
    if (!listed(route))
        return;
    for (size_t i = 0; i < f->seen.n; i++)
        if (str_eq(f->seen.v[i], pattern))
            return;
    *vec_push(f->arena, &f->seen) = pattern;
    f->l->path = pattern;
    json_w_key(&f->l->w, plain_path(f->arena, pattern));
    json_w_object(&f->l->w);
    router_each(f->l->router, write_same_path, f->l);
    json_w_end(&f->l->w);
}

struct str openapi_text(struct arena *a, const struct router *router)
{
    struct buf out = BUF_INIT;
    struct listing l = {.w = json_writer(&out), .router = router};
    struct first_of_path paths = {.l = &l, .arena = a};
    struct json_writer *w = &l.w;
    json_w_object(w);
    json_w_kstr(w, S("openapi"), S("3.1.0"));
    json_w_key(w, S("info"));
    json_w_object(w);
    json_w_kstr(w, S("title"), S("Marugoto"));
    json_w_kstr(w, S("version"), S(MARUGOTO_VERSION));
    json_w_end(w);
    json_w_key(w, S("paths"));
    json_w_object(w);
    router_each(router, write_path_once, &paths);
    json_w_end(w);
    json_w_end(w);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}
