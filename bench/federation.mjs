#!/usr/bin/env node
// Federation of two: how much later does a query answer that a second city has a part in? The same
// query, of entities that are here, with and without the other one asked, in turns.
import { format, load, median, quick, report, sensor, startRelease } from './lib.mjs';
import http from 'node:http';

const rounds = quick ? 50 : 1000, entities = 200, limit = 20;
const args = ['--client.allow_private=true'];
const here = await startRelease({ args }), there = await startRelease({ args });
await load(here, 0, entities);
await load(there, entities, entities + limit);
const type = sensor(0).type;

const registered = await here.post('/ngsi-ld/v1/csourceRegistrations', {
    id: 'urn:ngsi-ld:ContextSourceRegistration:other', type: 'ContextSourceRegistration',
    information: [{ entities: [{ type }] }], operations: ['federationOps'], endpoint: there.url,
});
if (registered.status !== 201) throw new Error(registered.text);

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
// Milliseconds until the whole answer is there.
const once = (target) => new Promise((done, fail) => {
    const began = process.hrtime.bigint();
    http.get(here.url + target, { agent }, (res) => {
        res.resume();
        res.on('end', () => (res.statusCode === 200 ? done(Number(process.hrtime.bigint() - began) / 1e6) : fail(new Error(`${target}: ${res.statusCode}`))));
    }).once('error', fail);
});

const query = `/ngsi-ld/v1/entities?type=${encodeURIComponent(type)}&limit=${limit}`;
const single = `/ngsi-ld/v1/entities/${encodeURIComponent(sensor(0).id)}`;
for (const [name, target] of [['a query of 20', `${query}&id=${[...Array(limit).keys()].map((i) => sensor(i).id).join(',')}`], ['one entity', single]]) {
    const alone = [], together = [];
    for (let i = 0; i < rounds; i++) {
        alone.push(await once(`${target}${target.includes('?') ? '&' : '?'}local=true`));
        together.push(await once(target));
    }
    const added = median(together) - median(alone);
    report(`federation of two adds to ${name}`, added, 1, 'max', `${format(median(alone))} ms alone, ${format(median(together))} ms with the other city, median of ${rounds}`);
}
await here.stop();
await there.stop();
