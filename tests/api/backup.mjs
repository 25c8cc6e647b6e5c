#!/usr/bin/env node
// Copies and checks: backup while the city is in use, restore, check, schemas of other versions.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, skip, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { command, commandLater } from '../lib/command.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-backup-'));
const file = (name) => path.join(folder, name);
const quiet = '--app.log_level=warn';
const onPostgres = Boolean(process.env.MARUGOTO_TEST_PG);

function sql(city, text) {
    const run = city.store?.startsWith('postgres')
        ? spawnSync('psql', ['-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', city.store, '-c', text], { encoding: 'utf8' })
        : spawnSync('sqlite3', ['-batch', path.join(city.dir, 'city.db'), text], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    return run.stdout.trim();
}

const place = (city) => ['--data', city.dir, ...(city.store ? ['--store', city.store] : []), quiet];

// All entities as they are exported, in the order of their ids.
async function everything(city) {
    const { status, text } = await city.get('/link/v1/export.ndjson?type=Note');
    assert.equal(status, 200, text);
    return text.trim().split('\n').sort();
}

const note = (i, n) => ({ id: `urn:x:note-${i}`, type: 'Note', n: { type: 'Property', value: n },
    text: { type: 'Property', value: `メモ ${i} 🗾` } });

async function fill(city, n) {
    const { status, text } = await city.post('/ngsi-ld/v1/entityOperations/create', Array.from({ length: n }, (_, i) => note(i, 0)));
    assert.equal(status, 201, text);
}

test('a backup while writing is one moment, and restores into an empty folder', async () => {
    const city = await startCity();
    await fill(city, 100);
    // Each round writes all notes in one operation, so every moment shows one n for all of them.
    let round = 0, stop = false;
    const writer = (async () => {
        while (!stop) {
            const { status } = await city.post('/ngsi-ld/v1/entityOperations/update',
                Array.from({ length: 100 }, (_, i) => note(i, round + 1)));
            assert.equal(status, 204);
            round++;
        }
    })();
    while (round < 3) await new Promise((go) => setTimeout(go, 5));
    const before = round;
    const made = await commandLater(['backup', file('live'), ...place(city)]);
    const after = round;
    stop = true;
    await writer;
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /backup written to .*live/);
    assert.equal(statSync(file('live')).mode & 0o077, 0, 'others may read the backup');

    const again = command(['backup', file('live'), ...place(city)]);
    assert.equal(again.code, 1);
    assert.match(again.err, /live exists already/);

    if (onPostgres) {
        sql(city, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
        await city.kill();
    } else {
        await city.stop();
    }
    const data = file('restored');
    const store = city.store ?? `sqlite:${data}/city.db`;
    const restored = command(['restore', file('live'), '--data', data, '--store', store, quiet]);
    assert.equal(restored.code, 0, restored.err);
    const copy = await startCity({ data, store });
    const notes = (await copy.get('/ngsi-ld/v1/entities?type=Note&limit=1000&options=keyValues')).json;
    assert.equal(notes.length, 100);
    const values = new Set(notes.map((entity) => entity.n));
    assert.equal(values.size, 1, `a mixture of moments: ${[...values]}`);
    const [value] = values;
    assert.ok(value >= before && value <= after + 1, `${before} <= ${value} <= ${after + 1}`);
    // What was copied goes on: it is written to, and its journal is whole.
    assert.equal((await copy.patch('/ngsi-ld/v1/entities/urn:x:note-1/attrs', { n: { type: 'Property', value: -1 } })).status, 204);
    await copy.stop();
    const check = command(['check', '--data', data, '--store', store, quiet]);
    assert.equal(check.code, 0, check.out + check.err);
    assert.match(check.out, /^0 findings$/m);
});

test('restore refuses to overwrite, replaces with --force, and refuses a store in use', async () => {
    const city = await startCity();
    await fill(city, 3);
    const before = await everything(city);
    assert.equal((await commandLater(['backup', file('three'), ...place(city)])).code, 0);
    assert.equal((await city.delete('/ngsi-ld/v1/entities/urn:x:note-1')).status, 204);
    if (!onPostgres) {
        const busy = command(['restore', file('three'), '--force', ...place(city)]);
        assert.equal(busy.code, 1);
        assert.match(busy.err, /is in use by another process/);
    }
    const ended = await city.end('SIGTERM');
    assert.equal(ended.code, 0, city.errors);
    const refused = command(['restore', file('three'), ...place(city)]);
    assert.equal(refused.code, 1);
    assert.match(refused.err, /city\.db exists already|the database has \d+ tables already/);
    const forced = command(['restore', file('three'), '--force', ...place(city)]);
    assert.equal(forced.code, 0, forced.err);
    const again = await startCity({ data: city.dir, store: city.store ?? `sqlite:${city.dir}/city.db` });
    assert.deepEqual(await everything(again), before);
    await again.stop();
    rmSync(city.dir, { recursive: true, force: true });
});

test('what is no backup is not restored', () => {
    writeFileSync(file('junk'), 'this is not a backup\n'.repeat(500));
    for (const [name, message] of [['junk', /junk/], ['absent', /absent: No such file/]]) {
        const { code, err } = command(['restore', file(name), '--data', file('from-junk'), '--store', `sqlite:${file('from-junk')}/city.db`]);
        assert.equal(code, 1);
        assert.match(err, message);
    }
    assert.ok(!existsSync(path.join(file('from-junk'), 'city.db')));
});

test('check looks at a city in use, and finds a changed row', async () => {
    const city = await startCity();
    await fill(city, 20);
    assert.equal((await city.patch('/ngsi-ld/v1/entities/urn:x:note-7/attrs', { n: { type: 'Property', value: 7 } })).status, 204);
    const sound = await commandLater(['check', ...place(city)]);
    assert.equal(sound.code, 0, sound.out + sound.err);
    assert.match(sound.out, /^0 findings$/m);
    const ended = await city.end('SIGTERM');
    assert.equal(ended.code, 0, city.errors);

    const damages = [
        ['a row of the journal', "UPDATE journal SET body = body || ' ' WHERE pos = (SELECT max(pos) FROM journal)",
            'UPDATE journal SET body = rtrim(body)'],
        ['a journal without its newest row', 'CREATE TABLE last AS SELECT * FROM journal WHERE pos = (SELECT max(pos) FROM journal);'
            + 'DELETE FROM journal WHERE pos = (SELECT max(pos) FROM journal)', 'INSERT INTO journal SELECT * FROM last; DROP TABLE last'],
        ['a missing key of an index', 'CREATE TABLE kept AS SELECT * FROM entity_num; DELETE FROM entity_num WHERE eid = (SELECT min(eid) FROM entity_num)',
            'DELETE FROM entity_num; INSERT INTO entity_num SELECT * FROM kept; DROP TABLE kept'],
        ['a key too many', "INSERT INTO entity_key SELECT 42, min(eid) FROM entity", 'DELETE FROM entity_key WHERE k = 42'],
        ['a value of an entity', `UPDATE entity SET doc = replace(doc, '"value":7', '"value":8')`, `UPDATE entity SET doc = replace(doc, '"value":8', '"value":7')`],
        ['a text of an entity', "UPDATE entity SET doc = replace(doc, 'メモ 3', 'メモ 4')", "UPDATE entity SET doc = replace(doc, 'メモ 4', 'メモ 3') WHERE id = 'urn:x:note-3'"],
        ['an entity that is no JSON', "UPDATE entity SET doc = '{' || doc WHERE eid = (SELECT min(eid) FROM entity)", null],
    ];
    for (const [what, harm, heal] of damages) {
        sql(city, harm);
        const { code, out, err } = command(['check', ...place(city)]);
        assert.equal(code, 1, `${what}: ${out}${err}`);
        assert.match(out, /^[1-9]\d* findings$/m, what);
        assert.ok(out.split('\n').length >= 3, `${what}: findings are named: ${out}`);
        if (!heal) continue;
        sql(city, heal);
        const healed = command(['check', ...place(city)]);
        assert.equal(healed.code, 0, `${what} put back: ${healed.out}`);
    }
    rmSync(city.dir, { recursive: true, force: true });
});

test('a store of a newer program is refused with its version, by serve and by check', async () => {
    const city = await startCity();
    await fill(city, 1);
    const ended = await city.end('SIGTERM');
    assert.equal(ended.code, 0, city.errors);
    const copy = file('newer-copy');
    assert.equal(command(['backup', copy, ...place(city)]).code, 0);
    sql(city, "INSERT INTO store_migration (module, number, name, at, sql) VALUES ('link', 99, 'of the future', 0, '')");
    for (const args of [['serve', '--port', '0'], ['check']]) {
        const { code, err } = command([...args, ...place(city)]);
        assert.equal(code, 1);
        assert.match(err, /written by a newer program: module link is at version 99 there, this program knows \d+/, args[0]);
    }
    // A backup may be made by any version: it copies what is there.
    const made = command(['backup', file('newer'), ...place(city)]);
    assert.equal(made.code, 0, made.err);
    rmSync(city.dir, { recursive: true, force: true });
});

await run(() => rmSync(folder, { recursive: true, force: true }));
