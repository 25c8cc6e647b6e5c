/* What became of a migration, for people and programs. */
#include "link/orion.h"

static void line(struct buf *out, const char *what, const struct orion_counts *n, bool dry_run)
{
    buf_printf(out,
               "%-14s %8llu there, %llu %s, %llu %s, %llu the same, %llu refused, %llu differ\n",
               what, (unsigned long long)n->there, (unsigned long long)n->made,
               dry_run ? "to be made" : "made", (unsigned long long)n->changed,
               dry_run ? "to be changed" : "changed", (unsigned long long)n->same,
               (unsigned long long)n->refused, (unsigned long long)n->differ);
}

static uint64_t total(const struct orion_report *r)
{
    return r->entities.differ + r->subscriptions.differ + r->registrations.differ;
}

void orion_report_text(struct buf *out, const struct orion_report *r)
{
    if (r->service.n)
        buf_printf(out, "service %" STR_F "\n", STR_A(r->service));
    line(out, "entities", &r->entities, r->dry_run);
    line(out, "subscriptions", &r->subscriptions, r->dry_run);
    line(out, "registrations", &r->registrations, r->dry_run);
    for (size_t i = 0; i < r->differences.n; i++) {
        const struct orion_difference *d = &r->differences.v[i];
        buf_printf(out, "%s %" STR_F, d->what, STR_A(d->id));
        if (d->type.n)
            buf_printf(out, " (%" STR_F ")", STR_A(d->type));
        if (d->path.n)
            buf_printf(out, " at %" STR_F, STR_A(d->path));
        buf_printf(out, ": %" STR_F "\n", STR_A(d->why));
    }
    if (total(r) > r->differences.n)
        buf_printf(out, "... and %llu more\n", (unsigned long long)(total(r) - r->differences.n));
}

static void counts(struct json_writer *w, struct str name, const struct orion_counts *n)
{
    json_w_key(w, name);
    json_w_object(w);
    json_w_ki64(w, S("there"), (int64_t)n->there);
    json_w_ki64(w, S("made"), (int64_t)n->made);
    json_w_ki64(w, S("changed"), (int64_t)n->changed);
    json_w_ki64(w, S("same"), (int64_t)n->same);
    json_w_ki64(w, S("refused"), (int64_t)n->refused);
    json_w_ki64(w, S("differ"), (int64_t)n->differ);
    json_w_end(w);
}

static void text(struct json_writer *w, struct str name, struct str v)
{
    if (v.n && str_is_utf8(v))
        json_w_kstr(w, name, v);
}

void orion_report_json(struct buf *out, const struct orion_report *r)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_kstr(&w, S("service"), r->service);
    json_w_kbool(&w, S("dryRun"), r->dry_run);
    counts(&w, S("entities"), &r->entities);
    counts(&w, S("subscriptions"), &r->subscriptions);
    counts(&w, S("registrations"), &r->registrations);
    json_w_key(&w, S("differences"));
    json_w_array(&w);
    for (size_t i = 0; i < r->differences.n; i++) {
        const struct orion_difference *d = &r->differences.v[i];
        json_w_object(&w);
        json_w_kstr(&w, S("what"), str_c(d->what));
        text(&w, S("id"), d->id);
        text(&w, S("type"), d->type);
        text(&w, S("path"), d->path);
        text(&w, S("why"), d->why);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
}
