#!/usr/bin/env node
// Who may write: this machine and its networks by default, others with the token, web pages of other
// sites never by themselves.
import assert from 'node:assert';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';

const secret = path.join(tmpdir(), `marugoto-token-${process.pid}`);
writeFileSync(secret, 'a long and random token');
const proxy = '--http.trusted_proxies=127.0.0.1';
const open = await startCity({ args: [proxy] });
const guarded = await startCity({ args: [proxy, `--gate.token=file:${secret}`, '--gate.writers=loopback'] });
let n = 0;
const create = (city, headers) => city.post('/ngsi-ld/v1/entities', { id: `urn:x:${++n}`, type: 'T' }, { headers });
const from = (address) => ({ 'X-Forwarded-For': address });

test('this machine and private networks write by default', async () => {
    assert.equal((await create(open)).status, 201);
    assert.equal((await create(open, from('192.168.3.4'))).status, 201);
    assert.equal((await create(open, from('fd00::7'))).status, 201);
});

test('the world does not, but reads and queries', async () => {
    const res = await create(open, from('203.0.113.9'));
    assert.equal(res.status, 403);
    assert.match(res.headers.get('content-type'), /problem\+json/);
    assert.equal((await open.get('/ngsi-ld/v1/entities?type=T', from('203.0.113.9'))).status, 200);
    const query = await open.post('/ngsi-ld/v1/entityOperations/query', { type: 'Query', entities: [{ type: 'T' }] }, { headers: from('203.0.113.9') });
    assert.equal(query.status, 200);
    for (const [method, target] of [['DELETE', '/ngsi-ld/v1/entities/urn:x:1'], ['POST', '/ngsi-ld/v1/subscriptions'],
        ['POST', '/link/v1/import']]) {
        const answer = await open.request(method, target, { body: method === 'POST' ? {} : undefined, headers: from('203.0.113.9') });
        assert.equal(answer.status, 403, `${method} ${target}`);
    }
    assert.equal((await open.get('/ngsi-ld/v1/entities/urn:x:1')).status, 200);
});

test('behind a proxy that is not named as one nobody is near', async () => {
    const city = await startCity();
    assert.equal((await create(city)).status, 201);
    for (const mark of ['X-Forwarded-For', 'Forwarded', 'X-Real-IP'])
        assert.equal((await create(city, { [mark]: '192.168.3.4' })).status, 403, mark);
    // a broker nearby that forwards is no front end
    assert.equal((await create(city, { Via: '1.1 broker' })).status, 201);
    await city.stop();
});

test('the token opens from anywhere, a wrong one does not', async () => {
    const bearer = (token) => ({ ...from('203.0.113.9'), Authorization: `Bearer ${token}` });
    assert.equal((await create(guarded, bearer('a long and random token'))).status, 201);
    for (const wrong of ['', 'a long and random toke', 'a long and random token2', 'x']) {
        const res = await create(guarded, bearer(wrong));
        assert.equal(res.status, 401);
        assert.equal(res.headers.get('www-authenticate'), 'Bearer');
    }
    assert.equal((await create(guarded, from('192.168.3.4'))).status, 401);
});

test('a page of another site cannot write through a visitor', async () => {
    assert.equal((await create(open, { Origin: 'https://evil.example' })).status, 403);
    assert.equal((await create(open, { Origin: open.url })).status, 201);
});

await run(async () => {
    await open.stop();
    await guarded.stop();
});
