#!/usr/bin/env -S node --experimental-websocket --no-warnings
// Live streams: server-sent events and WebSockets at /link/v1/stream.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { eventually, sleep } from '../lib/city.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';
import { run, test } from '../lib/tap.mjs';

const ld = await startLd({ args: ['--link.stream_heartbeat_s=1'] });
const { city } = ld;
// Sanitizers keep freed memory for a while: sizes say nothing under them.
const sanitised = /lib[at]san/.test(readFileSync(`/proc/${city.pid}/maps`, 'utf8'));

// An event source: events as { id, event, data }, and the number of heartbeats.
async function listen(query = '', headers = {}) {
    const stop = new AbortController();
    const res = await fetch(`${city.url}/link/v1/stream${query}`, { headers, signal: stop.signal });
    const source = { status: res.status, type: res.headers.get('content-type'), events: [], beats: 0, res };
    source.close = () => stop.abort();
    if (res.status !== 200) { source.json = await res.json(); return source; }
    (async () => {
        let text = '';
        const decoder = new TextDecoder();
        for await (const part of res.body) {
            text += decoder.decode(part, { stream: true });
            for (let at; (at = text.indexOf('\n\n')) >= 0; text = text.slice(at + 2)) {
                const event = {};
                for (const line of text.slice(0, at).split('\n')) {
                    if (line.startsWith(':')) source.beats++;
                    const [, name, value] = /^(\w+): (.*)$/.exec(line) ?? [];
                    if (name) event[name] = value;
                }
                if (event.data) source.events.push({ ...event, data: JSON.parse(event.data) });
            }
        }
    })().catch(() => {});
    source.wait = (n) => eventually(() => source.events.length >= n && source.events);
    return source;
}
const put = async (id, type, attrs) => {
    const entity = { id: `urn:ngsi-ld:${type}:${id}`, type };
    for (const [name, value] of Object.entries(attrs)) entity[name] = { type: 'Property', value };
    const res = await ld.post('/entityOperations/upsert?options=update', [entity]);
    assert.ok(res.status < 300, res.text);
    return entity.id;
};

test('says what was made, changed and deleted', async () => {
    const source = await listen('?format=simplified');
    assert.equal(source.status, 200);
    assert.match(source.type, /^text\/event-stream/);
    const id = await put('1', 'Bus', { speed: 30 });
    await put('1', 'Bus', { speed: 31 });
    assert.equal((await ld.delete(`/entities/${id}`)).status, 204);
    const [made, changed, deleted] = await source.wait(3);
    assert.equal(made.event, 'entity');
    assert.equal(made.data.op, 'created');
    assert.deepEqual(made.data.entity, { id, type: 'Bus', speed: 30 });
    assert.equal(changed.data.op, 'updated');
    assert.deepEqual(changed.data.changed, ['speed']);
    assert.equal(changed.data.entity.speed, 31);
    assert.equal(deleted.data.op, 'deleted');
    assert.equal(deleted.data.entity, undefined);
    assert.deepEqual(deleted.data.type, ['Bus']);
    assert.equal(Number(changed.id), Number(made.id) + 1);
    source.close();
});

test('selects by type, id, attribute, q and place', async () => {
    const sources = await Promise.all(['?type=Tram', '?id=urn:ngsi-ld:Bus:7', '?attrs=load', '?q=speed>50'].map((q) => listen(q)));
    await put('7', 'Bus', { speed: 10 });
    await put('8', 'Bus', { load: 1, speed: 60 });
    await put('1', 'Tram', { speed: 20 });
    const last = [];
    for (const source of sources) last.push((await source.wait(1))[0].data.id);
    assert.deepEqual(last, ['urn:ngsi-ld:Tram:1', 'urn:ngsi-ld:Bus:7', 'urn:ngsi-ld:Bus:8', 'urn:ngsi-ld:Bus:8']);
    await sleep(100);
    for (const source of sources) {
        assert.equal(source.events.length, 1);
        source.close();
    }
    for (const bad of ['?q=((', '?type=(', '?format=xml', '?after=x', '?georel=near', '?idPattern=(', '?what=1']) {
        const res = await city.get(`/link/v1/stream${bad}`);
        assertError(res, 400, res.json.type);
    }
});

test('goes on where it was, by Last-Event-ID and by after=', async () => {
    const source = await listen('?type=Ship');
    for (let i = 0; i < 5; i++) await put('1', 'Ship', { n: i });
    const seen = await source.wait(5);
    source.close();
    const again = await listen('?type=Ship', { 'Last-Event-ID': seen[1].id });
    assert.deepEqual((await again.wait(3)).map((e) => e.data.entity.n.value), [2, 3, 4]);
    again.close();
    const third = await listen(`?type=Ship&after=${seen[3].id}`);
    assert.deepEqual((await third.wait(1)).map((e) => e.data.entity.n.value), [4]);
    third.close();
});

test('a position from another world is answered with a reset', async () => {
    const source = await listen('?after=99999999');
    const [first] = await source.wait(1);
    assert.equal(first.event, 'reset');
    await put('2', 'Ship', { n: 1 });
    const [, next] = await source.wait(2);
    assert.equal(Number(next.id), first.data.seq + 1);
    source.close();
});

test('heartbeats show that the server lives', async () => {
    const source = await listen('?type=Nothing');
    await eventually(() => source.beats >= 2, 20000);
    source.close();
});

test('a reader that stops reading costs little, and misses nothing', async () => {
    const before = city.rss(), rows = 3000;
    const socket = net.connect(city.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part) => { text += part; });
    socket.write('GET /link/v1/stream?type=Flood&format=keyValues HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually(() => text.includes('retry:'));
    socket.pause();
    const filler = 'x'.repeat(4000);
    for (let i = 0; i < rows; i += 100) {
        const batch = [...Array(100).keys()].map((k) => ({
            id: `urn:ngsi-ld:Flood:${k}`, type: 'Flood', n: { type: 'Property', value: i + k }, text: { type: 'Property', value: filler },
        }));
        assert.ok((await ld.post('/entityOperations/upsert?options=update', batch)).status < 300);
    }
    await sleep(300);
    if (!sanitised) assert.ok(city.rss() - before < 30e6, `${(city.rss() - before) / 1e6} MB more`);
    socket.resume();
    const seen = () => [...text.matchAll(/"n":(\d+)/g)].map((m) => Number(m[1]));
    await eventually(() => text.includes(`"n":${rows - 1},`), 20000, 200);
    assert.deepEqual(seen(), [...Array(rows).keys()]);
    socket.destroy();
});

test('the same over a WebSocket', async () => {
    const ws = new WebSocket(`${city.url.replace('http', 'ws')}/link/v1/stream?type=Plane&format=keyValues`);
    const events = [];
    ws.onmessage = (m) => events.push(JSON.parse(m.data));
    await new Promise((open, fail) => { ws.onopen = open; ws.onerror = fail; });
    const id = await put('1', 'Plane', { height: 1 });
    await put('1', 'Plane', { height: 2 });
    await eventually(() => events.length === 2);
    assert.deepEqual(events.map((e) => [e.op, e.entity.height]), [['created', 1], ['updated', 2]]);
    assert.equal(events[0].id, id);
    ws.close();
    const again = new WebSocket(`${city.url.replace('http', 'ws')}/link/v1/stream?type=Plane&after=${events[0].seq}`);
    const later = [];
    again.onmessage = (m) => later.push(JSON.parse(m.data));
    await eventually(() => later.length === 1);
    assert.equal(later[0].seq, events[1].seq);
    again.close();
});

test('many listeners share one reading', async () => {
    const sources = await Promise.all([...Array(200).keys()].map(() => listen('?type=Crowd')));
    for (let i = 0; i < 10; i++) await put('1', 'Crowd', { n: i });
    for (const source of sources) {
        const events = await source.wait(10);
        assert.deepEqual(events.map((e) => e.data.entity.n.value), [...Array(10).keys()]);
    }
    for (const source of sources) source.close();
    await eventually(async () => /marugoto_link_streams 0\b/.test((await city.get('/metrics')).text), 20000, 200);
});

await run(() => city.stop());
