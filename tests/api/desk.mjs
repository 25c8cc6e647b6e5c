#!/usr/bin/env node
// The enrolment desk: who may be there, a resident's first sign-in, looking somebody up with a reason, guardians, roles.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { Visitor, cityWithChief, password, proveTwice, register, signIn, staff } from '../lib/visitor.mjs';

const data = mkdtempSync(path.join(tmpdir(), 'marugoto-desk-'));
const { city, code } = await cityWithChief(data, { args: ['--trust.attempts_per_address=1000'] });
const desk = {};

const alert = (text) => /role="alert"[^>]*><p>([^<]*)/.exec(text)?.[1];
const codeOf = (text) => /class="codes"><code>([^<]*)</.exec(text)?.[1];

async function find(clerk, fields) {
    const res = await clerk.fill('/en/desk', { reason: 'asked at the desk', ...fields });
    assert.equal(res.status, 200, res.text);
    return [...res.text.matchAll(/name="ref" value="([^"]*)"/g)].map((m) => m[1]);
}

async function order(clerk, ref, form) {
    await clerk.open('/en/desk');
    return clerk.send('/en/desk/person', { ref, ...form });
}

test('the first administrator sets up a password and an app, and is let in with both only', async () => {
    const chief = await staff(city, code);
    assert.equal(chief.recovery.length, 10);
    // The session began with the desk's code: not enough.
    const asked = await chief.open('/en/desk');
    assert.equal(asked.status, 303);
    assert.match(asked.to, /sign-in\?to=%2Fen%2Fdesk&acr=aal2$/);
    assert.equal((await proveTwice(chief, 'chief')).status, 303);
    assert.equal((await chief.open('/en/desk')).status, 200);
    const used = new Visitor(city);
    assert.equal((await used.fill('/en/enrol', { code })).status, 403);
    desk.chief = chief;
});

test('roles are given by administrators, to somebody who was looked up', async () => {
    await register(city, 'clerk-1', { name: '試験 窓口' });
    const [ref] = await find(desk.chief, { by: 'login', value: 'CLERK-1' });
    assert.equal((await order(desk.chief, ref, { action: 'give', role: 'clerk', organisation: '市民課' })).status, 200);
    const { me: clerk } = await signIn(city, 'clerk-1');
    assert.equal((await clerk.open('/en/desk')).status, 303); // a password is not enough for a clerk either
    const [mine] = await find(desk.chief, { by: 'login', value: 'clerk-1' });
    const given = await order(desk.chief, mine, { action: 'code', reason: 'set up at the desk' });
    const set = await staff(city, codeOf(given.text));
    await proveTwice(set, 'clerk-1');
    assert.equal((await set.open('/en/desk')).status, 200);
    desk.clerk = set;
});

test('a clerk has no power over accounts of staff', async () => {
    const [ref] = await find(desk.clerk, { by: 'login', value: 'chief' });
    for (const form of [{ action: 'code', reason: 'x' }, { action: 'state', state: 'suspended', reason: 'x' },
        { action: 'correct', name: 'x', seen: '1' }, { action: 'give', role: 'operator' }, { action: 'take', role: 'administrator' }])
        assert.equal((await order(desk.clerk, ref, form)).status, 403, form.action);
    const [own] = await find(desk.clerk, { by: 'login', value: 'clerk-1' });
    assert.equal((await order(desk.clerk, own, { action: 'give', role: 'administrator' })).status, 403);
});

test('a resident without e-mail gets a code, and signs in with what they choose', async () => {
    const clerk = desk.clerk;
    await clerk.open('/en/desk/new');
    const form = { name: '試験 梅', birth_date: '1940-03-03', address: '試験町1-2-3', postal_code: '1234567' };
    const unseen = await clerk.send('/en/desk/new', form);
    assert.equal(unseen.status, 400);
    await clerk.open('/en/desk/new');
    const made = await clerk.send('/en/desk/new', { ...form, seen: '1' });
    assert.equal(made.status, 200);
    const first = codeOf(made.text);
    assert.match(first, /^[A-Z2-7]{5}(-[A-Z2-7]{5}){3}$/);
    const ume = new Visitor(city);
    assert.equal((await ume.fill('/en/enrol', { code: first.replaceAll('-', ' ').toLowerCase() })).to, '/en/my/ways?first=1');
    await ume.open('/en/my/ways?first=1');
    assert.equal((await ume.send('/en/my/password', { password, login: 'ume' })).status, 303);
    assert.equal((await signIn(city, 'ume')).res.status, 303);
    assert.equal((await new Visitor(city).fill('/en/enrol', { code: first })).status, 403);
    // What the desk proved is corrected at the desk.
    await ume.open('/en/my/data');
    await ume.send('/en/my/data', { login: 'ume', name: '試験 桃', email: 'ume@example.jp' });
    assert.match((await ume.open('/en/my')).text, /試験 梅/);
    desk.ume = ume;
});

test('looking somebody up needs a reason, which they can read', async () => {
    const clerk = desk.clerk;
    for (const fields of [{ by: 'name', value: '試験 梅', birth_date: '1940-03-03', reason: '' }, { by: 'name', value: '試験 梅', reason: 'x' },
        { by: 'login', value: '', reason: 'x' }]) {
        await clerk.open('/en/desk');
        assert.equal((await clerk.send('/en/desk', fields)).status, 400);
    }
    assert.equal((await find(clerk, { by: 'name', value: '試験', birth_date: '1940-03-03' })).length, 0);
    assert.equal((await find(clerk, { by: 'name', value: '試験　梅', birth_date: '１９４０-03-03', reason: 'change of address' })).length, 1);
    const entries = JSON.parse((await desk.ume.open('/en/my/export')).text).log;
    assert.equal(entries[0].kind, 'staff');
    assert.equal(entries[0].content.reason, 'change of address');
});

test('a reference opens in the session that found it, and in no other', async () => {
    const [ref] = await find(desk.clerk, { by: 'login', value: 'ume' });
    assert.equal((await order(desk.clerk, ref, {})).status, 200);
    assert.equal((await order(desk.chief, ref, {})).status, 404);
    for (const bad of ['', 'AAAA', ref.slice(0, -2), '1'])
        assert.equal((await order(desk.clerk, bad, {})).status, 404);
});

test('states are changed with a reason, and end what they must', async () => {
    const [ref] = await find(desk.clerk, { by: 'login', value: 'ume' });
    assert.equal((await order(desk.clerk, ref, { action: 'state', state: 'suspended' })).status, 400);
    assert.equal((await order(desk.clerk, ref, { action: 'state', state: 'suspended', reason: 'lost telephone' })).status, 200);
    assert.equal((await desk.ume.open('/en/my')).status, 303);
    assert.equal((await signIn(city, 'ume')).res.status, 403);
    assert.equal((await order(desk.clerk, ref, { action: 'state', state: 'moved-out', reason: 'x' })).status, 409);
    assert.equal((await order(desk.clerk, ref, { action: 'state', state: 'active', reason: 'found' })).status, 200);
    assert.equal((await signIn(city, 'ume')).res.status, 303);
    const [own] = await find(desk.chief, { by: 'login', value: 'chief' });
    assert.equal((await order(desk.chief, own, { action: 'state', state: 'deceased', reason: 'x' })).status, 409);
});

test('guardians: a minor\'s by their age, an adult\'s with a proof', async () => {
    const clerk = desk.clerk;
    await clerk.open('/en/desk/new');
    const year = new Date().getFullYear();
    await clerk.send('/en/desk/new', { name: '試験 小梅', birth_date: `${year - 8}-01-01`, seen: '1' });
    const [child] = await find(clerk, { by: 'name', value: '試験 小梅', birth_date: `${year - 8}-01-01` });
    const recorded = await order(clerk, child, { action: 'guardian', kind: 'minor', guardian: 'ume' });
    assert.equal(recorded.status, 200);
    assert.match(recorded.text, /試験 梅: parent or guardian of a minor/);
    assert.equal((await order(clerk, child, { action: 'guardian', kind: 'minor', guardian: 'nobody' })).status, 400);
    const [ume] = await find(clerk, { by: 'login', value: 'ume' });
    const until = `${year + 1}-01-01`;
    assert.equal((await order(clerk, ume, { action: 'guardian', kind: 'minor', guardian: 'clerk-1' })).status, 400);
    const without = await order(clerk, ume, { action: 'guardian', kind: 'adult', guardian: 'clerk-1', until });
    assert.equal(without.status, 400);
    assert.match(alert(without.text), /proof/);
    assert.equal((await order(clerk, ume, { action: 'guardian', kind: 'adult', guardian: 'clerk-1', until, proof: '登記 第1号' })).status, 200);
    // Neither side ends what staff recorded.
    const { me } = await signIn(city, 'ume');
    await me.open('/en/my/people');
    assert.match(me.page, /guardian of an adult/);
    assert.doesNotMatch(me.page, /name="action" value="end"/);
});

test('an operator uses the data console with their account, from elsewhere and with two factors', async () => {
    // Behind a proxy that is not named this machine is far away; the console's pages are then for staff only.
    const far = { Via: '1.1 x' };
    const person = await register(city, 'operator-1', { name: '試験 操作' });
    assert.equal((await person.open('/en/console', far)).status, 303); // signed in, but with one factor
    const [ref] = await find(desk.chief, { by: 'login', value: 'operator-1' });
    const given = await order(desk.chief, ref, { action: 'code', reason: 'set up' });
    const set = await staff(city, codeOf(given.text));
    await proveTwice(set, 'operator-1');
    assert.equal((await set.open('/en/console', far)).status, 403);
    const [again] = await find(desk.chief, { by: 'login', value: 'operator-1' });
    assert.equal((await order(desk.chief, again, { action: 'give', role: 'operator' })).status, 200);
    assert.equal((await set.open('/en/console', far)).status, 200);
    await set.open('/en/console/keys', far);
    const make = (csrf) => set.request('POST', '/en/console/keys', { form: { csrf, action: 'make', name: 'by-account' }, headers: far });
    assert.equal((await make('')).status, 403);
    assert.equal((await make(desk.chief.csrf())).status, 403);
    await set.open('/en/console/keys', far);
    assert.equal((await make(set.csrf())).status, 200);
    assert.equal((await order(desk.chief, again, { action: 'take', role: 'operator' })).status, 200);
    assert.equal((await set.open('/en/console', far)).status, 403);
});

test('whatever a form holds, it is refused or obeyed, and nothing fails', async () => {
    const junk = ['%ff%fe', '%00', 'a%00b', 'x'.repeat(5000), '%E8%A9%A6'.repeat(300), "'; DROP TABLE account;--", '%3Cscript%3E', '-1',
        '99999999999999999999', '%0d%0aX:1', '%f0%9f%98%80', ''];
    const fields = ['login', 'password', 'name', 'name_kana', 'birth_date', 'gender', 'postal_code', 'address', 'district', 'email', 'phone', 'to',
        'ticket', 'code', 'id', 'upto', 'secret', 'kind', 'read', 'days', 'by', 'value', 'reason', 'ref', 'seen', 'state', 'guardian', 'proof', 'until',
        'role', 'organisation'];
    const me = await register(city, 'junk');
    const people = [[me, '/en/my', { devices: [''], notices: [''], data: [''], app: [''], ways: ['rename', 'remove', 'x'], people: ['offer', 'accept', 'end'] }],
        [desk.chief, '/en/desk', { '': [''], new: [''], person: ['', 'code', 'state', 'guardian', 'give', 'correct'] }],
        [new Visitor(city), '/en', { 'sign-in': [''], 'sign-in/code': [''], enrol: [''], register: [''] }]];
    for (const [who, under, routes] of people) {
        for (const [route, actions] of Object.entries(routes)) {
            const path = route ? `${under}/${route}` : under;
            await who.open(under === '/en' ? '/en/enrol' : under);
            const csrf = encodeURIComponent(who.csrf());
            for (const action of actions) {
                for (const value of junk) {
                    const body = [`csrf=${csrf}`, `action=${action}`, ...fields.map((name) => `${name}=${value}`)].join('&');
                    const cookies = [...who.cookies].map(([k, v]) => `${k}=${v}`).join('; ');
                    const res = await fetch(city.url + path, { method: 'POST', redirect: 'manual', body,
                        headers: { 'Content-Type': 'application/x-www-form-urlencoded', Cookie: cookies, Accept: 'text/html' } });
                    const text = await res.text();
                    assert.ok(res.status < 500, `${path} ${action} ${value.slice(0, 20)}: ${res.status}`);
                    assert.doesNotMatch(text, /<script>/, path);
                }
            }
        }
    }
});

await run(async () => {
    await city.stop();
    rmSync(data, { recursive: true, force: true });
});
