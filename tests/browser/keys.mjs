#!/usr/bin/env node
// Keys and policies in the console: made, shown once, copied, used, revoked; a policy written as
// JSON, refused with the place of the mistake, ended; why somebody may; without scripts too.
import assert from 'node:assert/strict';
import { desktop, languages, phone, startBrowser, violations, watch } from '../lib/browser.mjs';
import { startCity } from '../lib/city.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity();
const browser = await startBrowser();
const shots = process.env.SCREENSHOTS; // a folder: for people who look
const ld = '/ngsi-ld/v1';
const P = (value) => ({ type: 'Property', value });
assert.equal((await city.post(`${ld}/entities`, { id: 'urn:x:resident:1', type: 'Resident', name: P('A'), phone: P('090') })).status, 201);

const context = await browser.newContext({ viewport: desktop, bypassCSP: true, timezoneId: 'Asia/Tokyo' });
await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: city.url });
const page = await context.newPage();
const errors = watch(page);
const home = `${city.url}/en/console/keys`;
const edit = (name) => `${city.url}/en/console/policies?name=${name}`;
const write = async (name, text) => {
    await page.goto(edit(name));
    await page.fill('#policy-json', typeof text === 'string' ? text : JSON.stringify(text));
    await page.click('button:has-text("Save")');
};

test('a policy is written, stands in words, and is in effect', async () => {
    await page.goto(home);
    assert.match(await page.textContent('main'), /There are no keys yet/);
    await page.fill('#policy-name', 'personal');
    await page.click('button:has-text("Write the policy")');
    await page.fill('#policy-json', '{"types": ["Resident"]}');
    await page.click('button:has-text("Save")');
    await page.waitForSelector('[role=status]');
    assert.equal((await city.get(`${ld}/entities/urn:x:resident:1`)).status, 404);
    await write('clerk', { description: 'the counter', rules: [{ rights: ['read'], types: ['Resident'], attrs: ['name'] }, { effect: 'deny', rights: ['write'], q: 'name=="A"' }] });
    await page.waitForSelector('[role=status]');
    const text = await page.textContent('main');
    assert.match(text, /the counter/);
    assert.match(text, /Allowed: read.*Types: Resident.*Attributes: Name.*Denied: write.*All types.*Condition: name=="A"/s);
    await page.goto(edit('clerk'));
    assert.match(await page.inputValue('#policy-json'), /"types":\["Resident"\],"attrs":\["name"\]/, 'names are short again');
});

test('mistakes are shown where they are, and what was written stays', async () => {
    await write('clerk', '{"rules": [\n {"rights": ["read"]},\n {"rights" ["read"]}]}');
    assert.match(await page.textContent('[role=alert]'), /not JSON.*Line 3/s);
    assert.match(await page.inputValue('#policy-json'), /"rights" \["read"\]/);
    await write('clerk', { rules: [{ rights: ['read'] }, { rights: ['fly'] }] });
    assert.match(await page.textContent('[role=alert]'), /"rights" of rule 2/);
    await write('clerk', { rules: [{ rights: ['read'], q: '((' }] });
    assert.match(await page.textContent('[role=alert]'), /"q" of rule 1/);
    await write('clerk', { rules: [{ rights: ['read'], colour: 1 }] });
    assert.match(await page.textContent('[role=alert]'), /"colour" of rule 1/);
    assert.equal((await city.get('/link/v1/policies')).json.filter((v) => v.name === 'clerk').length, 1, 'nothing was saved');
});

let key;
test('a key is made, shown once, copied, and works', async () => {
    await page.goto(home);
    await page.fill('#key-name', 'counter-7');
    await page.check('input[value=clerk]');
    await page.fill('#key-expires', '2099-03-31');
    await page.click('button:has-text("Make the key")');
    key = await page.inputValue('#made-key');
    assert.match(key, /^mk_[\w-]{43}$/);
    await page.click('.copy button');
    await page.waitForSelector('.copy button:has-text("Copied")');
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
    const seen = await city.get(`${ld}/entities/urn:x:resident:1`, { 'X-API-Key': key });
    assert.equal(seen.status, 200);
    assert.ok(!seen.text.includes('090'));
    await page.goto(home);
    assert.ok(!(await page.content()).includes(key), 'never again');
    assert.match(await page.textContent('tbody tr'), /counter-7.*In use.*clerk.*2099/s);
    await page.fill('#key-name', 'counter-7');
    await page.click('button:has-text("Make the key")');
    assert.match(await page.textContent('[role=alert]'), /A key of this name is in use/);
});

test('why: the decision and the rule', async () => {
    const ask = async (fields) => {
        await page.goto(home);
        if (fields.key) await page.selectOption('#why-key', fields.key);
        await page.fill('#why-entity', fields.entity ?? '');
        await page.fill('#why-type', fields.type ?? '');
        await page.fill('#why-attr', fields.attr ?? '');
        await page.selectOption('#why-right', fields.right ?? 'read');
        await page.click('button:has-text("Find out")');
        return page.textContent('main .notice');
    };
    assert.match(await ask({ key: 'counter-7', entity: 'urn:x:resident:1', attr: 'name' }), /^Allowed.*policy clerk, rule 1/);
    assert.match(await ask({ key: 'counter-7', entity: 'urn:x:resident:1', attr: 'phone' }), /^Not allowed.*personal/);
    assert.match(await ask({ key: 'counter-7', entity: 'urn:x:resident:1', attr: 'name', right: 'write' }), /^Not allowed.*policy clerk, rule 2/);
    assert.match(await ask({ type: 'Resident' }), /^Not allowed.*personal/);
    assert.match(await ask({ entity: 'urn:x:nobody' }), /no such thing/);
});

test('revoking and ending ask first; both without scripts', async () => {
    const plain = await (await browser.newContext({ viewport: desktop, javaScriptEnabled: false })).newPage();
    await plain.goto(home);
    await plain.fill('#key-name', 'short');
    await plain.click('button:has-text("Make the key")');
    assert.match(await plain.inputValue('#made-key'), /^mk_/, 'a field to mark');
    await plain.goto(home);
    const row = plain.locator('tr:has-text("counter-7")');
    await row.locator('summary').click();
    await row.locator('button').click();
    assert.equal(await plain.locator('[role=status]').count(), 0, 'the browser holds it back');
    await row.locator('input[name=confirm]').check();
    await row.locator('button').click();
    await plain.waitForSelector('[role=status]');
    assert.match(await plain.textContent('tr:has-text("counter-7")'), /Revoked/);
    assert.equal((await city.get(`${ld}/entities`, { 'X-API-Key': key })).status, 401);
    await plain.goto(edit('clerk'));
    await plain.click('details.order summary');
    await plain.check('details.order input[name=confirm]');
    await plain.click('details.order button');
    await plain.waitForSelector('[role=status]');
    assert.equal((await city.get('/link/v1/policies')).json.filter((v) => v.name === 'clerk').at(-1).policy, undefined);
    assert.deepEqual(errors.filter((text) => !/status of 4/.test(text)), []);
});

test('a form without its token, without consent, or from a stranger changes nothing', async () => {
    const state = async () => (await city.get('/link/v1/keys')).text.replace(/,?"lastUsed":"[^"]*"/g, '') + (await city.get('/link/v1/policies')).text;
    const before = await state();
    const post = (path, body, headers = {}) => city.post(`/en/console/${path}`, new URLSearchParams(body).toString(), { type: 'application/x-www-form-urlencoded', headers });
    const first = await city.get('/en/console/keys', { Accept: 'text/html' });
    const Cookie = `console=${/console=([^;]+)/.exec(first.headers.getSetCookie().join('\n'))[1]}`;
    const csrf = /name="csrf" value="([^"]+)"/.exec(first.text)[1];
    const orders = [['keys', { action: 'make', name: 'x' }], ['keys', { action: 'revoke', name: 'short', confirm: '1' }],
        ['policies', { action: 'save', name: 'x', json: '{"rules":[]}' }], ['policies', { action: 'end', name: 'personal', confirm: '1' }]];
    for (const [path, body] of orders) {
        assert.equal((await post(path, body)).status, 403);
        assert.equal((await post(path, { ...body, csrf: 'x' }, { Cookie })).status, 403);
        assert.equal((await post(path, { ...body, csrf }, { Cookie, 'X-Forwarded-For': '192.0.2.1' })).status, 403);
    }
    const wrong = [['keys', { action: 'make', name: 'a b' }, 400], ['keys', { action: 'make', name: 'y', expires: '2001-01-01' }, 400], ['keys', { action: 'make', name: 'y', expires: 'soon' }, 400],
        ['keys', { action: 'make', name: 'short' }, 409], ['keys', { action: 'revoke', name: 'short' }, 400], ['keys', { action: 'revoke', name: 'none', confirm: '1' }, 404],
        ['policies', { action: 'save', name: 'A b', json: '{"rules":[]}' }, 400], ['policies', { action: 'save', name: 'admin', json: '{"rules":[]}' }, 400], ['policies', { action: 'save', name: 'x', json: '[]' }, 400],
        ['policies', { action: 'save', name: 'x' }, 400], ['policies', { action: 'end', name: 'personal' }, 400], ['policies', { action: 'end', name: 'none', confirm: '1' }, 404]];
    for (const [path, body, status] of wrong) {
        const res = await post(path, { ...body, csrf }, { Cookie });
        assert.equal(res.status, status, `${JSON.stringify(body)} ${res.text.slice(0, 300)}`);
        assert.match(res.text, /role="alert"/);
    }
    assert.equal(await state(), before);
    for (const page of ['keys', 'policies?name=personal']) assert.equal((await city.get(`/en/console/${page}`, { Accept: 'text/html', 'X-Forwarded-For': '192.0.2.1' })).status, 403);
    const hostile = await city.get('/en/console/policies?name=%22%3E%3Cscript%3E', { Accept: 'text/html' });
    assert.doesNotMatch(hostile.text, /"><script>/);
});

test('axe-core finds nothing, in any language, wide and narrow', async () => {
    const found = [];
    await write('clerk', { description: '窓口', rules: [{ rights: ['read', 'write'], types: ['Resident', 'EvacuationShelter'], attrs: ['name', 'occupancy'] }, { effect: 'deny', rights: ['write'], q: 'status=="closed"', own: true }] });
    assert.equal((await city.post('/link/v1/keys', { name: 'desk-of-the-north-branch', policies: ['clerk', 'reader'], expiresAt: '2099-01-01T00:00:00Z' })).status, 201);
    for (const [name, viewport] of [['desktop', desktop], ['phone', phone]]) {
        const other = await browser.newContext({ viewport, bypassCSP: true });
        const look = await other.newPage();
        for (const language of languages) {
            const check = async (what) => {
                for (const violation of await violations(look)) found.push(`${name} ${language} ${what}: ${violation}`);
                const wide = await look.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
                if (wide > 0) found.push(`${name} ${language} ${what}: ${wide} px too wide`);
                if (shots) await look.screenshot({ path: `${shots}/${what}-${name}-${language}.png`, fullPage: true });
            };
            await look.goto(`${city.url}/${language}/console/keys?key=desk-of-the-north-branch&type=Resident&attr=name&right=read`);
            await look.locator('tr details summary').last().click();
            await check('keys');
            await look.fill('#key-name', `k-${name}-${language}`);
            await look.locator('form:has(#key-name) button').click();
            await look.waitForSelector('#made-key');
            await check('made');
            await look.goto(`${city.url}/${language}/console/policies?name=clerk`);
            await look.locator('details.order summary').click();
            await look.fill('#policy-json', '{"rules": [{"rights": ["fly"]}]}');
            await look.locator('form:has(#policy-json) button').click();
            await look.waitForSelector('[role=alert]');
            await check('policy');
        }
        await other.close();
    }
    assert.deepEqual(found, []);
});

await run(async () => {
    await browser.close();
    await city.stop();
});
