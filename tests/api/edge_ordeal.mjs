#!/usr/bin/env node
// A city and three nodes through what happens in a disaster: lines are cut and mended at random,
// city and nodes are killed, everybody writes and deletes the same entities, and adds to their evolution,
// all the while. In the end all hold the same, evolution too, and every value whose write was
// acknowledged is in the history of the city and of each node.
//
// MARUGOTO_ORDEAL sets the number of rounds (default 12).
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';
import { Line, digest, upstream } from '../lib/edge.mjs';

const rounds = Number(process.env.MARUGOTO_ORDEAL ?? 12);
const entities = '/ngsi-ld/v1/entities';
const ids = Array.from({ length: 8 }, (_, i) => `urn:x:shared-${i}`);
const attrs = ['n', 'm'];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

// One process of the four, which may be dead for a while.
class Party {
    constructor(name, args) {
        this.name = name;
        this.args = ['--link.temporal_max=100000', ...args];
        this.data = mkdtempSync(path.join(tmpdir(), 'marugoto-ordeal-'));
    }

    async start() {
        this.server = await startCity({ data: this.data, store: this.store, args: this.args });
        this.store ??= this.server.store ?? `sqlite:${this.data}/city.db`;
    }

    async kill() {
        const server = this.server;
        this.server = null;
        await server.kill();
        assert.doesNotMatch(server.errors, /Sanitizer|runtime error/, server.errors);
    }

    async end() {
        const end = await this.server.end('SIGTERM');
        assert.equal(end.code, 0, this.server.errors);
        assert.doesNotMatch(this.server.errors, /Sanitizer|runtime error/, this.server.errors);
        const check = command(['check', '--data', this.data, '--store', this.store, '--app.log_level=warn']);
        assert.match(check.out, /^0 findings$/m, check.out);
        rmSync(this.data, { recursive: true, force: true });
    }
}

class Writer {
    count = 0;
    acked = []; // {id, attr, value}
    deletions = 0;

    constructor(party) { this.party = party; }

    async step(server) {
        const id = pick([...ids, `urn:x:own-${this.party.name}`]);
        const attr = pick(attrs);
        const value = `${this.party.name}-${++this.count}`;
        const observed = Math.random() < 0.4 ? { observedAt: new Date(Date.now() - Math.random() * 1e7).toISOString() } : {};
        const body = { [attr]: { type: 'Property', value, ...observed } };
        const dice = Math.random();
        if (dice < 0.06) {
            const { status } = await server.delete(`${entities}/${id}`);
            this.deletions += status === 204;
        } else if (dice < 0.12) {
            const { status } = await server.delete(`${entities}/${id}/attrs/${attr}`);
            this.deletions += status === 204;
        } else if (dice < 0.24) { // evolution as such, of whoever is there or is not
            const { status, text } = await server.post('/ngsi-ld/v1/temporal/entities', { id, type: 'Shared', p: { type: 'Property', value, observedAt: new Date(Date.now() - Math.random() * 1e7).toISOString() } });
            if ([201, 204].includes(status)) this.acked.push({ id, attr: 'p', value });
            else if (status !== 503) throw new Error(`${status} ${text}`);
        } else {
            const answer = await server.post('/ngsi-ld/v1/entityOperations/upsert?options=update', [{ id, type: 'Shared', ...body }]);
            if ([201, 204].includes(answer.status)) this.acked.push({ id, attr, value });
            else if (answer.status !== 503) throw new Error(`${answer.status} ${answer.text}`);
        }
    }

    async run(going) {
        while (going()) {
            const server = this.party.server;
            if (!server) await sleep(20);
            else await this.step(server).catch((error) => { if (this.party.server === server && !/fetch failed|terminated/.test(error)) throw error; });
        }
    }
}

const valuesOf = async (server, id, attr) => {
    const { status, json } = await server.get(`/ngsi-ld/v1/temporal/entities/${id}?attrs=${attr}&options=temporalValues`);
    return status === 200 ? (json[attr] ? [json[attr]].flat().flatMap((one) => one.values.map(([v]) => v)) : []) : [];
};

test(`${rounds} rounds of cuts and kills: all hold the same, nothing acknowledged is missing`, async () => {
    const city = new Party('city', []);
    await city.start();
    const nodes = [];
    for (const name of ['a', 'b', 'c']) {
        const { json } = await city.server.post('/link/v1/sync/nodes', { name });
        const line = await new Line().open(city.server.port);
        const node = new Party(name, ['--edge', '--upstream', line.url, `--edge.token=${json.token}`, '--edge.poll_s=1', '--edge.batch_bytes=4k', '--edge.verify_s=5']);
        node.line = line;
        await node.start();
        nodes.push(node);
    }
    const all = [city, ...nodes];
    const writers = all.map((party) => new Writer(party));
    let going = true;
    const writing = Promise.all(writers.map((writer) => writer.run(() => going)));
    for (let round = 0; round < rounds; round++) {
        for (const node of nodes) Math.random() < 0.5 ? node.line.cut() : node.line.mend();
        await sleep(200 + Math.random() * 600);
        if (Math.random() < 0.6) {
            const victim = pick(all);
            await victim.kill();
            await sleep(Math.random() * 200);
            await victim.start();
            if (victim === city) for (const node of nodes) node.line.to = city.server.port;
        }
    }
    going = false;
    await writing;
    for (const node of nodes) node.line.mend();
    let last;
    await eventually(async () => {
        const states = await Promise.all(nodes.map((node) => upstream(node.server)));
        const digests = await Promise.all(all.map((party) => digest(party.server)));
        last = JSON.stringify([states, digests.map((d) => [d.digest, d.entities])]);
        return states.every((s) => s.state === 'together' && s.waiting === 0) && new Set(digests.map((d) => d.digest)).size === 1;
    }, 120000, 250).catch(() => { throw new Error(`not together: ${last}`); });

    const acked = writers.flatMap((writer) => writer.acked);
    let missing = [];
    for (const party of all)
        for (const id of new Set(acked.map((one) => one.id)))
            for (const attr of [...attrs, 'p']) {
                const there = new Set(await valuesOf(party.server, id, attr));
                missing.push(...acked.filter((one) => one.id === id && one.attr === attr && !there.has(one.value)).map((one) => `${party.name}: ${one.id} ${attr} ${one.value}`));
            }
    assert.deepEqual(missing, []);
    const conflicts = await Promise.all(all.map(async (party) => (await party.server.get('/link/v1/conflicts?limit=1000')).json
        .map((c) => `${c.entity} ${c.attribute} ${c.values.map((v) => v.key).join(' ')}`).sort()));
    for (const list of conflicts) assert.deepEqual(list, conflicts[0]);
    console.log(`# ${acked.length} acknowledged values, ${writers.reduce((n, w) => n + w.deletions, 0)} deletions, ${conflicts[0].length} conflicts`);
    for (const party of all) await party.end();
    for (const node of nodes) node.line.close();
});

await run();
