#!/usr/bin/env node
// /metrics: every line follows Prometheus' text format 0.0.4, and the counters move.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';

const city = await startCity();

const name = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const grammar = {
    help: new RegExp(`^# HELP (${name}) (.*)$`),
    type: new RegExp(`^# TYPE (${name}) (counter|gauge|histogram|summary|untyped)$`),
    sample: new RegExp(`^(${name})(?:\\{((?:${label}(?:,|(?=\\})))*)\\})? (NaN|[+-]Inf|[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(?: -?[0-9]+)?$`),
};

// The samples by name with labels; the text is checked against the format on the way.
async function scrape() {
    const { status, headers, text } = await city.get('/metrics');
    assert.equal(status, 200);
    assert.match(headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
    assert.ok(text.endsWith('\n'), 'the last line has an end');
    const types = new Map(), helps = new Set(), samples = new Map(), closed = new Set();
    let family = null;
    for (const line of text.split('\n').slice(0, -1)) {
        const help = grammar.help.exec(line), type = grammar.type.exec(line), sample = grammar.sample.exec(line);
        assert.ok(help || type || sample, `not in the format: ${line}`);
        const of = (help ?? type)?.[1] ?? [sample[1], sample[1].replace(/_(bucket|sum|count)$/, '')].find((base) => types.has(base));
        assert.ok(of, `no TYPE before: ${line}`);
        if (of !== family) {
            assert.ok(!closed.has(of), `lines of ${of} are not together`);
            if (family) closed.add(family);
            family = of;
        }
        if (help) assert.ok(!helps.has(of) && helps.add(of), `two HELP of ${of}`);
        if (type) assert.ok(!types.has(of) && types.set(of, type[2]), `two TYPE of ${of}`);
        if (sample) {
            const key = `${sample[1]}{${sample[2] ?? ''}}`;
            assert.ok(!samples.has(key), `twice: ${key}`);
            samples.set(key, Number(sample[3].replace('Inf', 'Infinity')));
        }
    }
    for (const [of, type] of types) {
        assert.ok(helps.has(of), `${of} has no HELP`);
        assert.match(of, /^(marugoto|process)_/, 'prefix');
        if (type === 'counter') assert.match(of, /_total$/);
        if (type === 'histogram') checkHistogram(of, samples);
    }
    return samples;
}

// Buckets do not fall, and the last one is the count.
function checkHistogram(of, samples) {
    const series = new Map();
    for (const [key, value] of samples) {
        const match = new RegExp(`^${of}_bucket\\{(.*)le="([^"]+)"(.*)\\}$`).exec(key);
        if (!match) continue;
        const rest = [match[1], match[3]].join(',').split(',').filter(Boolean).join(',');
        if (!series.has(rest)) series.set(rest, []);
        series.get(rest).push([match[2] === '+Inf' ? Infinity : Number(match[2]), value]);
    }
    assert.ok(series.size > 0, `${of} has no buckets`);
    for (const [rest, buckets] of series) {
        for (let i = 1; i < buckets.length; i++)
            assert.ok(buckets[i][0] > buckets[i - 1][0] && buckets[i][1] >= buckets[i - 1][1], `${of} ${rest}: ${buckets}`);
        assert.equal(buckets.at(-1)[0], Infinity);
        assert.equal(samples.get(`${of}_count{${rest}}`), buckets.at(-1)[1], `${of}_count ${rest}`);
        assert.ok(samples.has(`${of}_sum{${rest}}`));
    }
}

const sum = (samples, start) => [...samples].filter(([key]) => key.startsWith(start)).reduce((total, [, value]) => total + value, 0);

test('every line follows the text format', async () => {
    await city.post('/ngsi-ld/v1/entities', { id: 'urn:x:first', type: 'M' });
    await city.get('/ngsi-ld/v1/entities?type=M');
    const samples = await scrape();
    assert.ok(samples.size >= 30, `${samples.size} samples`);
});

test('counters of requests and of the store move, and never fall', async () => {
    const before = await scrape();
    for (let i = 0; i < 7; i++)
        assert.equal((await city.post('/ngsi-ld/v1/entities', { id: `urn:x:m-${i}`, type: 'M' })).status, 201);
    assert.equal((await city.get('/nowhere')).status, 404);
    // A request is counted after its answer has been sent.
    const after = await eventually(async () => {
        const now = await scrape();
        return sum(now, 'marugoto_http_requests_total') >= sum(before, 'marugoto_http_requests_total') + 8 && now;
    });
    assert.ok(sum(after, 'marugoto_store_changes_total') >= sum(before, 'marugoto_store_changes_total') + 7);
    assert.ok(sum(after, 'marugoto_store_batches_total') > sum(before, 'marugoto_store_batches_total'));
    for (const [key, value] of before)
        if (/_total\{|_bucket\{|_count\{/.test(key)) assert.ok(after.get(key) >= value, `${key} fell`);
});

test('scraping beside load is always whole', async () => {
    let going = true;
    const load = Array.from({ length: 4 }, async () => {
        while (going) await city.get('/ngsi-ld/v1/entities?type=M');
    });
    for (let i = 0; i < 20; i++) await scrape();
    going = false;
    await Promise.all(load);
});

await run(() => city.stop());
