#!/usr/bin/env node
// marugoto migrate orion: another broker's NGSIv2 is the Orion; killed in the middle, too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bin, startCity } from '../lib/city.mjs';
import { commandLater } from '../lib/command.mjs';
import { run, skip, test } from '../lib/tap.mjs';
import { startV2 } from '../lib/v2.mjs';

const orion = await startV2({ args: ['--allow-private'] });
const TOTAL = 1500;

// Entities of several types and paths, with everything that has a form of its own.
async function fill() {
    const special = [
        [{ id: 'Room1', type: 'Room', t: { type: 'Float', value: 23.50, metadata: { accuracy: { type: 'Number', value: 0.1 }, TimeInstant: { type: 'DateTime', value: '2026-01-01T00:00:00.000Z' } } },
            at: { type: 'geo:point', value: '40.1, -3.5' }, when: { type: 'DateTime', value: '2026-01-02' }, none: { type: 'None', value: null }, deep: { type: 'X', value: { a: [1, { b: 'c' }] } } }, '/'],
        [{ id: 'Room1', type: 'Car', x: { type: 'Text', value: 'другой' } }, '/'],
        [{ id: 'Room1', type: 'Room', t: { type: 'Number', value: 1 } }, '/m/a'],
        [{ id: 'urn:ngsi-ld:Room:9', type: 'Room', ref: { type: 'Relationship', value: 'Room1' }, line: { type: 'geo:line', value: ['1, 2', '3, 4'] } }, '/m'],
        [{ id: 'Soon', type: 'Ticket', n: { type: 'Number', value: 1 }, dateExpires: { type: 'DateTime', value: '2040-07-07T21:35:00.000Z' } }, '/'],
    ];
    for (const [entity, at] of special) await orion.create(entity, { headers: { 'Fiware-ServicePath': at } });
    for (let i = special.length; i < TOTAL; i += 500) {
        const entities = Array.from({ length: Math.min(500, TOTAL - i) }, (_, k) => ({ id: `S${i + k}`, type: 'Sensor', v: { type: 'Number', value: i + k, metadata: {} } }));
        assert.equal((await orion.post('/op/update', { actionType: 'append', entities }, { headers: { 'Fiware-ServicePath': '/s' } })).status, 204);
    }
    await orion.create({ id: 'P1', type: 'Park', n: { type: 'Number', value: 1 } }, { headers: { 'Fiware-Service': 'parks' } });
    const sub = (more, at, service) => orion.post('/subscriptions', { subject: { entities: [{ idPattern: '.*', type: 'Room' }] }, notification: { http: { url: 'http://127.0.0.1:1/x' }, attrs: ['t'] }, ...more },
        { headers: { ...(at && { 'Fiware-ServicePath': at }), ...(service && { 'Fiware-Service': service }) } });
    assert.equal((await sub({ description: 'all' })).status, 201);
    assert.equal((await sub({ description: 'below', throttling: 5, expires: '2040-01-01T00:00:00.000Z' }, '/m/#')).status, 201);
    assert.equal((await sub({ description: 'exact', status: 'inactive' }, '/m/a')).status, 201);
    assert.equal((await sub({ description: 'parks' }, null, 'parks')).status, 201);
    const reg = (at) => orion.post('/registrations', { dataProvided: { entities: [{ id: 'Elsewhere', type: 'Room' }], attrs: ['h'] }, provider: { http: { url: 'http://127.0.0.1:1/v2' } } }, { headers: { 'Fiware-ServicePath': at } });
    assert.equal((await reg('/')).status, 201);
    assert.equal((await reg('/m')).status, 201);
}

const folder = () => mkdtempSync(path.join(tmpdir(), 'marugoto-migrate-'));
const args = (data, ...more) => ['migrate', 'orion', '--from', `${orion.city.url}/`, '--data', data, '--app.log_level=error', ...more];
async function migrate(data, ...more) {
    const { code, out, err } = await commandLater(args(data, '--json', ...more));
    return { code, err, reports: out.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line)) };
}

async function everything(v2, headers = {}) {
    const list = [];
    for (let offset = 0; ; offset += 1000) {
        const page = (await v2.get(`/entities?limit=1000&offset=${offset}&attrs=*,servicePath,dateExpires&options=skipForwarding`, headers)).json;
        list.push(...page);
        if (page.length < 1000) break;
    }
    return list.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
}
const settings = (list) => list.map(({ id, description, subject, notification, dataProvided, provider, expires, throttling, status }) => {
    for (const name of ['timesSent', 'lastNotification', 'lastFailure', 'lastFailureReason', 'failsCounter']) delete notification?.[name];
    return { id, description, subject, notification, dataProvided, provider, expires, throttling, status: status.replace('failed', 'active') };
});

if (!process.env.MARUGOTO_TEST_PG) await fill();

test('a dry run tells and writes nothing', async () => {
    if (process.env.MARUGOTO_TEST_PG) skip('the commands of this file run on SQLite');
    const data = folder();
    const { code, reports: [report] } = await migrate(data, '--dry-run');
    assert.equal(code, 0);
    assert.deepEqual(report.entities, { there: TOTAL, made: TOTAL, changed: 0, same: 0, refused: 0, differ: TOTAL });
    assert.equal(report.subscriptions.made, 3);
    assert.equal(report.registrations.made, 2);
    const city = await startCity({ data });
    assert.deepEqual((await city.get('/v2/entities')).json, []);
    assert.deepEqual((await city.get('/v2/subscriptions')).json, []);
    await city.stop();
    rmSync(data, { recursive: true });
});

test('killed in the middle, again and again; then everything is here once', async () => {
    if (process.env.MARUGOTO_TEST_PG) skip('the commands of this file run on SQLite');
    const data = folder();
    const offsets = []; // of the pages that were asked for, by each run
    let page;
    const between = http.createServer(async (req, res) => {
        const offset = /entities.*offset=(\d+)/.exec(req.url)?.[1];
        if (offset) offsets.at(-1).push(Number(offset));
        if (offset && offsets.at(-1).length === 4) page?.();
        const headers = Object.fromEntries(Object.entries(req.headers).filter(([name]) => name.startsWith('fiware')));
        const answer = await orion.city.request('GET', req.url, { headers });
        res.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(answer.text);
    });
    await new Promise((done) => between.listen(0, '127.0.0.1', done));
    const command = (...more) => ['migrate', 'orion', '--from', `http://127.0.0.1:${between.address().port}`, '--data', data, '--app.log_level=error', ...more];
    for (let i = 0; i < 2; i++) {
        offsets.push([]);
        const child = spawn(bin, command(), { stdio: 'ignore' });
        page = () => child.kill('SIGKILL');
        assert.equal(await new Promise((done) => child.once('exit', (code, signal) => done(signal))), 'SIGKILL');
    }
    page = null;
    offsets.push([]);
    const { code, out, err } = await commandLater(command('--json'));
    between.close();
    assert.equal(code, 0, err);
    const report = JSON.parse(out);
    assert.deepEqual(offsets.slice(0, 2), [[0, 200, 400, 600], [600, 800, 1000, 1200]]);
    assert.equal(offsets[2][0], 1200);
    assert.deepEqual(report.entities, { there: TOTAL, made: TOTAL - 1200, changed: 0, same: 0, refused: 0, differ: 0 });
    assert.deepEqual(report.differences, []);
    const again = await migrate(data);
    assert.deepEqual(again.reports[0].entities, { there: TOTAL, made: 0, changed: 0, same: TOTAL, refused: 0, differ: 0 });
    assert.deepEqual([again.reports[0].subscriptions.same, again.reports[0].registrations.same], [3, 2]);
    const city = await startV2({ data, args: ['--allow-private'] });
    assert.deepEqual(await everything(city), await everything(orion));
    for (const kind of ['subscriptions', 'registrations']) {
        const here = settings((await city.get(`/${kind}`)).json), there = settings((await orion.get(`/${kind}`)).json);
        assert.deepEqual(here, there);
        for (const at of ['/', '/#', '/m', '/m/#', '/m/a']) {
            const of = async (v2) => (await v2.get(`/${kind}`, { 'Fiware-ServicePath': at })).json.map((x) => x.id);
            assert.deepEqual(await of(city), await of(orion), `${kind} ${at}`);
        }
    }
    assert.deepEqual((await city.get('/entities', { 'Fiware-Service': 'parks' })).json, []);
    await city.city.stop();
    rmSync(data, { recursive: true });
});

test('what changed meanwhile is caught up with; services by name', async () => {
    if (process.env.MARUGOTO_TEST_PG) skip('the commands of this file run on SQLite');
    const data = folder();
    const first = await migrate(data, '--service', '', '--service', 'Parks');
    assert.equal(first.code, 0, first.err);
    assert.deepEqual(first.reports.map((r) => [r.service, r.entities.made]), [['', TOTAL], ['parks', 1]]);
    await orion.patch('/entities/Room1/attrs?type=Car', { x: { value: 'new' } });
    await orion.delete('/entities/Room1/attrs/deep?type=Room', { 'Fiware-ServicePath': '/' });
    await orion.create({ id: 'New1', type: 'Room', a: { value: 1 } });
    const { code, reports: [report] } = await migrate(data);
    assert.equal(code, 0);
    assert.deepEqual(report.entities, { there: TOTAL + 1, made: 1, changed: 2, same: TOTAL - 2, refused: 0, differ: 0 });
    const city = await startV2({ data });
    assert.deepEqual(await everything(city), await everything(orion));
    assert.equal((await city.read('P1', '', { 'Fiware-Service': 'parks' })).n.value, 1);
    await city.city.stop();
    rmSync(data, { recursive: true });
});

test('one path; what cannot be copied is named; an Orion that does not tell paths', async () => {
    if (process.env.MARUGOTO_TEST_PG) skip('the commands of this file run on SQLite');
    const answers = {
        entities: [{ id: 'Good', type: 'T', a: { type: 'Number', value: 1, metadata: {} } }, { id: 'Bad one', type: 'T' },
            { id: 'Odd', type: 'T', when: { type: 'DateTime', value: 'no date', metadata: {} } },
            { id: 'Told', type: 'T', a: { type: 'Text', value: 'fine', metadata: {} }, note: { type: 'Text', value: 'open (weekdays)', metadata: {} } },
            { id: 'Deep', type: 'T', value: { type: 'StructuredValue', value: [{ k: 'x=y' }], metadata: {} } },
            { id: 'Free', type: 'T', note: { type: 'TextUnrestricted', value: '<>"\'=;()', metadata: {} } }],
        subscriptions: [{ id: '5a82be3d093af1b94ac0f730', status: 'failed', subject: { entities: [{ idPattern: '.*' }], condition: { attrs: [], notifyOnMetadataChange: true } },
            notification: { timesSent: 1, attrs: [], onlyChangedAttrs: false, attrsFormat: 'normalized', http: { url: 'http://127.0.0.1:1/' }, covered: false } },
        { id: '5a82be3d093af1b94ac0f731', status: 'active', subject: { entities: [{ idPattern: '.*' }] }, notification: { attrsFormat: 'of its own', http: { url: 'http://127.0.0.1:1/' } } }],
        registrations: [{ id: '5a82be3d093af1b94ac0f732', dataProvided: { entities: [{ id: 'x' }], attrs: [] }, provider: { http: { url: 'http://127.0.0.1:1' }, legacyForwarding: true } }],
    };
    const seen = [];
    const old = http.createServer((req, res) => {
        const url = new URL(req.url, 'http://x');
        seen.push([url.pathname, req.headers['fiware-servicepath'], req.headers['x-auth-token']]);
        if (url.searchParams.get('options')) return void res.writeHead(400).end('{"error":"BadRequest","description":"Invalid value for URI param /options/"}');
        const list = url.searchParams.get('offset') > 0 ? [] : answers[url.pathname.split('/').pop()];
        res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(list));
    });
    await new Promise((done) => old.listen(0, '127.0.0.1', done));
    const from = `http://127.0.0.1:${old.address().port}`, data = folder();
    const command = (...more) => commandLater(['migrate', 'orion', '--from', from, '--data', data, '--app.log_level=error', '--json', ...more]);
    const all = JSON.parse((await command()).out);
    assert.equal(all.entities.refused, 6);
    assert.match(all.differences[0].why, /--path/);
    const { code, out } = await command('--path', '/x', '--token', 'secret');
    const report = JSON.parse(out);
    assert.equal(code, 1);
    assert.deepEqual(report.entities, { there: 6, made: 2, changed: 0, same: 0, refused: 4, differ: 4 });
    assert.deepEqual(report.differences.map((d) => [d.what, d.id]), [['entity', 'Bad one'], ['entity', 'Odd'], ['entity', 'Told'], ['entity', 'Deep'],
        ['subscription', '5a82be3d093af1b94ac0f731'], ['registration', '5a82be3d093af1b94ac0f732']]);
    assert.match(report.differences[1].why, /when/);
    assert.equal(report.differences[2].why, 'attribute note: Invalid characters in attribute value');
    assert.equal(report.differences[3].why, 'attribute value: Invalid characters in attribute value');
    assert.match(report.differences[4].why, /attrsFormat/);
    assert.ok(seen.some(([where, at, token]) => where === '/v2/entities' && at === '/x' && token === 'secret'));
    const city = await startV2({ data });
    assert.equal((await city.read('Good', '', { 'Fiware-ServicePath': '/x' })).a.value, 1);
    assert.notEqual((await city.get('/subscriptions/5a82be3d093af1b94ac0f730')).json.status, 'inactive');
    await city.city.stop();
    rmSync(data, { recursive: true });
    old.close();
});

test('clear errors', async () => {
    if (process.env.MARUGOTO_TEST_PG) skip('the commands of this file run on SQLite');
    const data = folder();
    const gone = await commandLater(['migrate', 'orion', '--from', 'http://127.0.0.1:1', '--data', data, '--app.log_level=error']);
    assert.equal(gone.code, 1);
    assert.match(gone.err, /http:\/\/127\.0\.0\.1:1\/v2\/entities.* cannot be read/);
    const html = http.createServer((req, res) => res.writeHead(401).end('{"error":"x","description":"token please"}'));
    await new Promise((done) => html.listen(0, '127.0.0.1', done));
    const refused = await commandLater(['migrate', 'orion', '--from', `http://127.0.0.1:${html.address().port}`, '--data', data, '--app.log_level=error']);
    assert.equal(refused.code, 1);
    assert.match(refused.err, /answers 401 token please/);
    html.close();
    for (const wrong of [[], ['orion'], ['scorpio', '--from', 'http://x'], ['orion', '--from', 'x'], ['orion', '--from', 'http://x', '--path', 'y'], ['orion', '--what', 'http://x'], ['orion', '--from']])
        assert.equal((await commandLater(['migrate', ...wrong])).code, 2, wrong.join(' '));
    rmSync(data, { recursive: true, force: true });
});

await run(() => orion.city.stop());
