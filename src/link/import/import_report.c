/* import_report.c - what an import did, for programs and for people. */
#include "import_impl.h"

static const struct {
    const char *name;
    size_t offset;
} counters[] = {
    {"rows", offsetof(struct import_report, rows)},
    {"created", offsetof(struct import_report, created)},
    {"updated", offsetof(struct import_report, updated)},
    {"unchanged", offsetof(struct import_report, unchanged)},
    {"deleted", offsetof(struct import_report, deleted)},
    {"closed", offsetof(struct import_report, closed)},
    {"rejected", offsetof(struct import_report, rejected)},
    {"warnings", offsetof(struct import_report, warnings)},
};
enum { N_COUNTERS = sizeof(counters) / sizeof(counters[0]) };

static uint64_t counter(const struct import_report *r, size_t i)
{
    return *(const uint64_t *)((const char *)r + counters[i].offset);
}

static void text_member(struct json_writer *w, struct str key, struct str text)
{
    if (text.p && str_is_utf8(text))
        json_w_kstr(w, key, text);
}

static void problem_json(struct json_writer *w, const struct import_problem *p)
{
    json_w_object(w);
    if (p->row)
        json_w_ki64(w, S("row"), (int64_t)p->row);
    text_member(w, S("column"), p->column);
    text_member(w, S("reason"), p->reason);
    text_member(w, S("text"), p->text);
    text_member(w, S("read"), p->read);
    json_w_kbool(w, S("warning"), p->warning);
    json_w_end(w);
}

void import_report_json(struct buf *out, const struct import_report *r)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    text_member(&w, S("kind"), r->kind);
    text_member(&w, S("type"), r->type);
    text_member(&w, S("dataset"), r->dataset);
    text_member(&w, S("encoding"), r->encoding);
    text_member(&w, S("refused"), r->refused);
    for (size_t i = 0; i < N_COUNTERS; i++)
        json_w_ki64(&w, str_c(counters[i].name), (int64_t)counter(r, i));
    json_w_key(&w, S("problems"));
    json_w_array(&w);
    for (size_t i = 0; i < r->problems.n; i++)
        problem_json(&w, &r->problems.v[i]);
    json_w_end(&w);
    json_w_key(&w, S("drift"));
    json_w_array(&w);
    for (size_t i = 0; i < r->drift.n; i++)
        problem_json(&w, &r->drift.v[i]);
    json_w_end(&w);
    json_w_end(&w);
}

static void read_problem(const struct json *v, struct import_problem *p)
{
    int64_t row = 0;
    json_i64(json_get(v, S("row")), &row);
    *p = (struct import_problem){.row = row > 0 ? (uint64_t)row : 0,
                                 .column = json_text(json_get(v, S("column"))),
                                 .reason = json_text(json_get(v, S("reason"))),
                                 .text = json_text(json_get(v, S("text"))),
                                 .read = json_text(json_get(v, S("read"))),
                                 .warning = json_true(json_get(v, S("warning")))};
}

void import_report_read(struct arena *a, const struct json *v, struct import_report *r)
{
    const struct json *problems = json_get(v, S("problems")), *drift = json_get(v, S("drift"));
    *r = (struct import_report){.kind = json_text(json_get(v, S("kind"))),
                                .type = json_text(json_get(v, S("type"))),
                                .dataset = json_text(json_get(v, S("dataset"))),
                                .encoding = json_text(json_get(v, S("encoding"))),
                                .refused = json_text(json_get(v, S("refused")))};
    for (size_t i = 0; i < N_COUNTERS; i++) {
        int64_t n = 0;
        json_i64(json_get(v, str_c(counters[i].name)), &n);
        *(uint64_t *)((char *)r + counters[i].offset) = n > 0 ? (uint64_t)n : 0;
    }
    for (size_t i = 0; json_at(problems, i); i++)
        read_problem(json_at(problems, i), vec_push(a, &r->problems));
    for (size_t i = 0; json_at(drift, i); i++)
        read_problem(json_at(drift, i), vec_push(a, &r->drift));
}

/* A cell's text on one line, without control characters. */
static void quote(struct buf *out, struct str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.n; i++)
        buf_char(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i]);
    buf_char(out, '"');
}

static void problem_text(struct buf *out, const struct import_problem *p)
{
    buf_str(out, p->warning ? S("  warning  ") : S("  REJECTED "));
    if (p->row)
        buf_printf(out, "row %llu, ", (unsigned long long)p->row);
    if (p->column.n) {
        BUF_LIT(out, "column ");
        quote(out, p->column);
        BUF_LIT(out, ", ");
    }
    buf_printf(out, "%" STR_F ": %" STR_F, STR_A(p->reason), STR_A(p->text));
    if (p->read.n) {
        BUF_LIT(out, " (read: ");
        quote(out, p->read);
        BUF_LIT(out, ")");
    }
    buf_char(out, '\n');
}

void import_report_text(struct buf *out, const struct import_report *r)
{
    if (r->kind.n)
        buf_printf(out, "kind %" STR_F ", data set %" STR_F ", entities of type %" STR_F "\n",
                   STR_A(r->kind), STR_A(r->dataset), STR_A(r->type.n ? r->type : S("(own)")));
    if (r->encoding.n)
        buf_printf(out, "file: %" STR_F "\n", STR_A(r->encoding));
    if (r->refused.n)
        buf_printf(out, "nothing was loaded: %" STR_F "\n", STR_A(r->refused));
    for (size_t i = 0; i < r->problems.n; i++)
        problem_text(out, &r->problems.v[i]);
    if (r->drift.n)
        BUF_LIT(out, "changed since the last import:\n");
    for (size_t i = 0; i < r->drift.n; i++)
        problem_text(out, &r->drift.v[i]);
    for (size_t i = 0; i < N_COUNTERS; i++)
        buf_printf(out, "%s%llu %s", i ? ", " : "", (unsigned long long)counter(r, i),
                   counters[i].name);
    buf_char(out, '\n');
}
