#!/usr/bin/env node
// Those who guess: by one name, by many, from one network; too many at once; and a city that is killed while people register.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { Visitor, password, register, signIn } from '../lib/visitor.mjs';

const wrong = 'wrong and long enough';
const from = (address, more = {}) => ({ 'X-Forwarded-For': address, 'X-Forwarded-Proto': 'https', ...more });
const behind = ['--http.trusted_proxies=127.0.0.1', '--trust.attempts_per_address=6'];
const city = await startCity({ args: behind });

// Over TLS, as the trusted proxy says.
async function attempt(address, login, secret = wrong) {
    const { res, me } = await signIn(city, login, secret, from(address));
    return { status: res.status, after: res.headers.get('retry-after'), text: res.text, me };
}

test('over TLS cookies carry the host prefix; without it nobody from elsewhere is let in', async () => {
    const me = new Visitor(city, from('192.0.2.1'));
    await me.fill('/en/register', { login: 'far-away', name: '試験 花子', password });
    assert.ok(me.cookies.has('__Host-session'));
    assert.ok(!me.cookies.has('session'));
    assert.equal((await me.open('/en/my')).status, 200);
    const plain = new Visitor(city, { 'X-Forwarded-For': '192.0.2.1' });
    assert.equal((await plain.open('/en/sign-in')).status, 403);
});

test('guessing at one name takes ever longer, whether there is one or not', async () => {
    for (const [login, net] of [['far-away', '198.51.100'], ['nobody-here', '203.0.113']]) {
        const seen = [];
        for (let i = 0; i < 8; i++) seen.push(await attempt(`${net}.${i + 1}`, login));
        assert.deepEqual(seen.map((one) => one.status), [403, 403, 403, 403, 403, 403, 429, 429], login);
        assert.ok(Number(seen[6].after) > 0 && Number(seen[6].after) <= 15);
        assert.match(seen[6].text, /A passkey still works/);
    }
});

test('the locked name is told the same to its owner; somebody else is not touched', async () => {
    const me = new Visitor(city, from('192.0.2.7'));
    await me.fill('/en/register', { login: 'neighbour', name: '試験 隣', password });
    assert.equal((await attempt('192.0.2.8', 'far-away', password)).status, 429);
    assert.equal((await attempt('192.0.2.8', 'neighbour', password)).status, 303);
    // Who is signed in stays so, and asking for a passkey is as before.
    assert.equal((await me.open('/en/my')).status, 200);
    const fresh = new Visitor(city, from('192.0.2.9'));
    assert.equal((await fresh.request('GET', '/en/sign-in/passkey', { headers: { Accept: 'application/json' } })).status, 200);
});

test('one password for many names is stopped by the address, and by its /64', async () => {
    const seen = [];
    for (let i = 0; i < 9; i++) seen.push((await attempt('192.0.2.66', `sprayed-${i}`)).status);
    assert.deepEqual(seen.slice(0, 7), Array(7).fill(403));
    assert.equal(seen[8], 429);
    const net = [];
    for (let i = 0; i < 15; i++) net.push((await attempt(`2001:db8:5::${i + 1}`, `spread-${i}`)).status);
    assert.equal(net[12], 403);
    assert.equal(net[14], 429);
    assert.equal((await attempt('2001:db8:6::1', 'spread-0')).status, 403);
});

test('registering by the hundred is stopped too', async () => {
    let status = 0;
    for (let i = 0; i < 9 && status !== 429; i++) {
        const me = new Visitor(city, from('192.0.2.99'));
        status = (await me.fill('/en/register', { login: `many-${i}`, name: 'x', password })).status;
    }
    assert.equal(status, 429);
});

test('more passwords than may wait are told to come back', async () => {
    const busy = await startCity({ args: ['--trust.password_parallel=1', '--trust.password_queue=1'] });
    const visitors = await Promise.all(Array.from({ length: 24 }, async () => {
        const me = new Visitor(busy);
        await me.open('/en/sign-in');
        return me;
    }));
    const answers = await Promise.all(visitors.map((me, i) => me.send('/en/sign-in', { login: `x${i}`, password: wrong })));
    const many = answers.filter((res) => res.status === 429);
    assert.ok(many.length > 0 && answers.some((res) => res.status === 403));
    for (const res of many) assert.ok(Number(res.headers.get('retry-after')) > 0);
    assert.equal((await busy.get('/healthz')).status, 200);
    await busy.stop();
});

test('killed while people register: who was told so is there, and nobody is there by half', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-passport-'));
    let store;
    const told = new Set();
    const asked = [];
    for (let round = 0; round < 3; round++) {
        const victim = await startCity({ data, store, args: ['--trust.attempts_per_address=1000', '--trust.password_parallel=4'] });
        store = victim.store ?? `sqlite:${data}/city.db`;
        const people = Array.from({ length: 8 }, (_, i) => `r${round}-${i}`);
        asked.push(...people);
        const all = people.map(async (login) => {
            try {
                await register(victim, login);
                told.add(login);
            } catch { /* the city is gone */ }
        });
        await Promise.race(all); // one at least is told
        await victim.kill();
        await Promise.all(all);
    }
    assert.ok(told.size >= 3);
    const after = await startCity({ data, store, args: ['--trust.attempts_per_address=1000'] });
    for (const login of asked) {
        const { res, me } = await signIn(after, login);
        if (told.has(login)) assert.equal(res.status, 303, login);
        if (res.status === 303) {
            const whole = JSON.parse((await me.open('/en/my/export')).text);
            assert.deepEqual(whole.log.map((entry) => entry.content.event).sort(), ['created', 'password-set']);
        } else {
            // Then the name is free: nothing of it stayed.
            await register(after, login);
        }
    }
    await after.stop();
    rmSync(data, { recursive: true, force: true });
});

await run(() => city.stop());
