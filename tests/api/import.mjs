#!/usr/bin/env node
// Importing through the running server and with the command: uploads, progress, reports, refusals.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bin, shared, startCity } from '../lib/city.mjs';
import { run, skip, test } from '../lib/tap.mjs';

const city = await startCity();
const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-import-'));
const csv = 'ID,名称,緯度,経度,設置位置,小児対応設備の有無\n'
    + 'A1,市役所,36.08,140.07,1階,有\nA2,体育館,36.09,140.08,入口,無\nA3,公園,あ,140.08,入口,無\n';

async function finished(href) {
    for (let i = 0; i < 300; i++) {
        const res = await city.get(href);
        assert.equal(res.status, 200, res.text);
        if (!['waiting', 'running'].includes(res.json.state)) return res.json;
        await new Promise((wake) => setTimeout(wake, 50));
    }
    throw new Error(`${href} does not end`);
}

async function upload(query, body, headers = {}) {
    const res = await city.post(`/link/v1/import${query}`, body, { type: 'text/csv', headers });
    assert.equal(res.status, 202, res.text);
    assert.equal(res.headers.get('location'), res.json.href);
    return finished(res.json.href);
}

function command(args) {
    return spawnSync(bin, ['import', ...args, '--app.log_level=warn'], { encoding: 'utf8' });
}

test('an upload becomes entities, wrong rows are reported one by one', async () => {
    const job = await upload('?name=aed.csv&source=' + encodeURIComponent('つくば市'), csv);
    assert.equal(job.state, 'done');
    assert.equal(job.name, 'aed.csv');
    assert.deepEqual([job.rowsDone, job.rowsTotal], [3, 3]);
    const { report } = job;
    assert.equal(report.kind, 'aed');
    assert.deepEqual([report.created, report.rejected, report.warnings], [2, 1, 0]);
    assert.deepEqual(report.problems, [{
        row: 4, column: '緯度', reason: 'not_a_number', read: 'あ', warning: false,
        text: 'degrees as a decimal number are expected',
    }]);
    const list = await city.get('/ngsi-ld/v1/entities?type=AED&options=keyValues&q=pediatricSupport==true');
    assert.equal(list.json.length, 1, list.text);
    assert.equal(list.json[0].name, '市役所');
    assert.equal(list.json[0].dataProvider, 'つくば市');
    assert.equal(list.json[0].dataset, 'aed');
    assert.deepEqual(list.json[0].location, { type: 'Point', coordinates: [140.07, 36.08] });
});

test('the same file again changes nothing; rows that are gone are deleted', async () => {
    const again = await upload('?source=' + encodeURIComponent('つくば市'), csv);
    assert.deepEqual([again.report.created, again.report.updated, again.report.unchanged], [0, 0, 2]);
    const less = csv.split('\n').slice(0, 2).join('\n');
    const kept = await upload('?keepVanished=true&source=' + encodeURIComponent('つくば市'), less);
    assert.equal(kept.report.deleted, 0);
    const job = await upload('?source=' + encodeURIComponent('つくば市'), less);
    assert.deepEqual([job.report.unchanged, job.report.deleted], [1, 1]);
    assert.equal((await city.get('/ngsi-ld/v1/entities/urn:ngsi-ld:AED:aed:A2')).status, 404);
});

test('a form with a file and fields', async () => {
    const form = new FormData();
    form.set('file', new Blob([csv]), 'ＡＥＤ.csv');
    form.set('as', 'aed');
    form.set('dataset', 'form.set');
    const res = await fetch(`${city.url}/link/v1/import`, { method: 'POST', body: form });
    assert.equal(res.status, 202, await res.clone().text());
    const job = await finished((await res.json()).href);
    assert.equal(job.name, 'ＡＥＤ.csv');
    assert.equal(job.report.dataset, 'form.set');
    assert.equal(job.report.created, 2);
});

test('tenants see their own imports only', async () => {
    const headers = { 'NGSILD-Tenant': 'kenkyu' };
    const started = await city.post('/link/v1/import', csv, { type: 'text/csv', headers });
    assert.equal(started.status, 202);
    assert.equal((await city.get(started.json.href)).status, 404);
    let job;
    do job = (await city.get(started.json.href, headers)).json; while (job.state === 'waiting' || job.state === 'running');
    assert.equal(job.report.created, 2);
    assert.equal((await city.get('/link/v1/imports', headers)).json.length, 1);
    assert.ok((await city.get('/link/v1/imports')).json.every((j) => j.id !== job.id));
});

test('what cannot be read is refused as a whole', async () => {
    for (const [body, reason] of [
        ['りんご,みかん\n1,2\n', 'unknown_kind'],
        ['\uFFFD\uFFFD,\uFFFD\n1,2\n', 'mojibake'],
        ['PK\x03\x04rubbish', 'unreadable'],
        ['{"type":"FeatureCollection"', 'unreadable'],
    ]) {
        const job = await upload('', body);
        assert.equal(job.state, 'refused', JSON.stringify(job));
        assert.equal(job.report.problems[0].reason, reason);
        assert.equal(job.report.refused, job.error);
    }
});

test('requests that make no sense', async () => {
    const status = async (target, init) => (await fetch(city.url + target, init)).status;
    const post = (more) => ({ method: 'POST', body: csv, headers: { 'Content-Type': 'text/csv' }, ...more });
    assert.equal(await status('/link/v1/import', { method: 'POST' }), 400);
    assert.equal(await status('/link/v1/import?nonsense=1', post()), 400);
    assert.equal(await status('/link/v1/import?observed=yesterday', post()), 400);
    assert.equal(await status('/link/v1/import', { method: 'PUT', body: csv }), 405);
    assert.equal(await status('/link/v1/imports/99999'), 404);
    assert.equal(await status('/link/v1/imports/x'), 404);
    assert.equal(await status('/link/v1/import', post({ headers: { 'Content-Type': 'text/csv', Origin: 'https://evil.example' } })), 403);
    assert.equal(await status('/link/v1/import', post({ headers: { 'Content-Type': 'multipart/form-data; boundary=x' } })), 400);
    const unknown = await upload('?as=nonsense', csv);
    assert.equal(unknown.state, 'refused');
    const name = await upload('?dataset=' + encodeURIComponent('../x'), csv);
    assert.equal(name.report.problems[0].reason, 'bad_dataset');
});

test('the kinds are listed', async () => {
    const kinds = (await city.get('/link/v1/importKinds')).json;
    assert.deepEqual(kinds.find((k) => k.name === 'aed'), { name: 'aed', title: 'AED設置箇所一覧', type: 'AED' });
});

test('only the newest imports are remembered', async () => {
    const first = (await city.get('/link/v1/imports')).json.at(-1).id;
    let last;
    for (let i = 0; i < 101; i++) {
        const res = await city.post('/link/v1/import?as=aed', 'x', { type: 'text/csv' });
        assert.equal(res.status, 202, res.text);
        last = await finished(res.json.href);
    }
    const list = (await city.get('/link/v1/imports')).json;
    assert.equal(list.length, 100);
    assert.equal(list[0].id, last.id);
    assert.equal((await city.get(`/link/v1/imports/${first}`)).status, 404);
});

test('the command hands a file to the running server', () => {
    const file = path.join(dir, 'aed.csv');
    writeFileSync(file, csv);
    const out = command([file, '--server', city.url, '--dataset', 'cli', '--json']);
    assert.equal(out.status, 1, out.stderr); /* a row was rejected */
    assert.equal(JSON.parse(out.stdout).created, 2);
    const text = command([file, '--server', city.url, '--dataset', 'cli']);
    assert.match(text.stdout, /REJECTED row 4, column "緯度", not_a_number/);
    assert.match(text.stdout, /2 unchanged/);
});

test('the command imports into a folder of its own', () => {
    const data = path.join(dir, 'own');
    const file = path.join(dir, 'good.csv');
    writeFileSync(file, csv.split('\n').slice(0, 3).join('\n'));
    const out = command([file, '--data', data]);
    assert.equal(out.status, 0, out.stderr + out.stdout);
    assert.match(out.stdout, /2 created/);
    assert.match(command([file, '--data', data]).stdout, /2 unchanged/);
    assert.equal(command(['--data', data]).status, 2);
    assert.equal(command([file, '--nonsense']).status, 2);
    assert.equal(command([path.join(dir, 'none.csv'), '--data', data]).status, 1);
});

test('the command says what to do while a server has the store', () => {
    if (city.store) skip('several processes share a PostgreSQL store');
    const out = command([path.join(dir, 'good.csv'), '--data', city.dir]);
    assert.equal(out.status, 1);
    assert.match(out.stderr, /in use by another process/);
    assert.match(out.stderr, /--server/);
});

test('real files through the server', async () => {
    const file = path.join(shared, 'data/municipal/takamatsu/evacuation_space.xlsx');
    if (!existsSync(file)) skip('no shared data');
    const res = await city.post('/link/v1/import?name=evacuation_space.xlsx', readFileSync(file), { type: 'application/octet-stream' });
    const job = await finished(res.json.href);
    assert.equal(job.report.created, 195);
    const count = await city.get('/ngsi-ld/v1/entities?type=EvacuationShelter&count=true&limit=1&q=flood==true');
    assert.ok(Number(count.headers.get('ngsild-results-count')) > 0, count.text);
});

await run(async () => {
    rmSync(dir, { recursive: true, force: true });
    await city.stop();
});
