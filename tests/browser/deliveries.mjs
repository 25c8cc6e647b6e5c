#!/usr/bin/env node
// An operator at the console: finds a receiver that refuses, looks at what waits, skips with a
// reason, pauses, goes on, replays; on a desktop and on a phone; axe-core finds nothing.
import assert from 'node:assert/strict';
import { desktop, languages, phone, startBrowser, violations, watch } from '../lib/browser.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity({ args: ['--client.allow_private=true', '--link.notify_refusals=1', '--link.notify_retry_max_s=1'] });
const receiver = await startReceiver();
receiver.answer = (req) => (req.url === '/refuses' ? 422 : 204);
const browser = await startBrowser();
const shots = process.env.SCREENSHOTS; // a folder: for people who look

const subscribe = async (name, type) => {
    const res = await city.post('/ngsi-ld/v1/subscriptions', {
        id: `urn:ngsi-ld:Subscription:${name}`, type: 'Subscription', subscriptionName: `受信 ${name}`, entities: [{ type }],
        notification: { format: 'keyValues', endpoint: { uri: `${receiver.url}/${name}` } },
    });
    assert.equal(res.status, 201, res.text);
};
const set = async (type, v) => {
    const res = await city.post('/ngsi-ld/v1/entityOperations/upsert?options=update',
        [{ id: `urn:ngsi-ld:${type}:1`, type, occupancy: { type: 'Property', value: v } }]);
    assert.ok(res.status === 201 || res.status === 204, res.text);
};
const values = (name) => receiver.got(name).map((m) => m.body.data[0].occupancy);
await subscribe('refuses', 'EvacuationShelter');
await subscribe('takes', 'WeatherObserved');
for (const v of [1, 2, 3]) await set('EvacuationShelter', v);
await set('WeatherObserved', 1);
await eventually(async () => (await city.get('/link/v1/deliveries')).json.some((d) => d.state === 'setAside'));
await eventually(() => receiver.got('takes').length === 1);

const page = await (await browser.newContext({ viewport: desktop, bypassCSP: true, timezoneId: 'Asia/Tokyo' })).newPage();
const errors = watch(page);
const at = (name) => `${city.url}/en/console/subscriptions/urn:ngsi-ld:Subscription:${name}`;

test('the list shows trouble first and leads to it', async () => {
    await page.goto(`${city.url}/en/console/subscriptions`);
    assert.match(await page.textContent('tbody tr:first-child'), /受信 refuses.*Set aside.*422.*since/s);
    await page.click('tbody tr:first-child a');
    assert.equal(await page.textContent('h1'), '受信 refuses');
    assert.match(await page.textContent('.notice'), /refused 1 times/);
    assert.equal(await page.locator('table tbody tr').count(), 3);
    await page.click('table tbody tr:first-child summary');
    assert.match(await page.textContent('table tbody tr:first-child code'), /"occupancy":1/);
});

test('skipping asks for a reason, and the rest arrives', async () => {
    receiver.answer = () => 204;
    await page.click('details.order:has([value=skip]) summary');
    await page.click('details.order button:has-text("Skip")');
    assert.equal(await page.locator('[role=status]').count(), 0, 'the browser holds it back');
    await page.fill('#skip-reason', 'a drill');
    await page.click('details.order button:has-text("Skip")');
    await page.waitForSelector('[role=status]');
    await eventually(() => receiver.got('refuses').length === 2);
    assert.deepEqual(values('refuses'), [2, 3]);
    assert.match(await page.textContent('main'), /a drill/);
});

test('pause, go on, replay', async () => {
    await page.goto(at('takes'));
    await page.fill('#pause-reason', 'the receiver moves');
    await page.click('button:has-text("Pause")');
    await page.waitForSelector('.badge-held');
    await set('WeatherObserved', 2);
    await page.goto(at('takes'));
    assert.equal(await page.locator('table tbody tr').count(), 1);
    await page.click('button:has-text("Go on")');
    await page.waitForSelector('.badge-active');
    await eventually(() => receiver.got('takes').length === 2);
    await page.click('details.order:has([value=replay]) summary');
    await page.click('details.order button:has-text("Send again")');
    await page.waitForSelector('[role=alert]');
    assert.match(await page.textContent('[role=alert]'), /position or a time/);
    await page.click('details.order:has([value=replay]) summary');
    await page.fill('#replay-time', '2020-01-01T00:00');
    await page.click('details.order button:has-text("Send again")');
    await page.waitForSelector('[role=status]');
    await eventually(() => receiver.got('takes').length === 4);
    assert.deepEqual(values('takes'), [1, 2, 1, 2]);
    assert.deepEqual(errors.filter((text) => !/status of 4/.test(text)), []);
});

test('a form without its token, or from a stranger, changes nothing', async () => {
    const post = (body, headers = {}) => city.post('/en/console/subscriptions/urn:ngsi-ld:Subscription:takes', body,
        { type: 'application/x-www-form-urlencoded', headers });
    assert.equal((await post('action=pause')).status, 403);
    assert.equal((await post('action=pause&csrf=x')).status, 403);
    assert.equal((await post('action=pause', { 'X-Forwarded-For': '192.0.2.1' })).status, 403);
    assert.equal((await city.get('/link/v1/deliveries/urn:ngsi-ld:Subscription:takes')).json.state, 'active');
    assert.equal((await city.get('/en/console/subscriptions/urn:nobody')).status, 404);
});

test('axe-core finds nothing, in any language, wide and narrow', async () => {
    receiver.answer = (req) => (req.url === '/refuses' ? 422 : 204);
    for (const v of [4, 5]) await set('EvacuationShelter', v);
    await eventually(async () => (await city.get('/link/v1/deliveries')).json.some((d) => d.state === 'setAside'));
    const found = [];
    for (const [name, viewport] of [['desktop', desktop], ['phone', phone]]) {
        const context = await browser.newContext({ viewport, bypassCSP: true });
        const look = await context.newPage();
        for (const language of languages) {
            for (const [what, url] of [['list', ''], ['one', '/urn:ngsi-ld:Subscription:refuses']]) {
                await look.goto(`${city.url}/${language}/console/subscriptions${url}`);
                for (const summary of await look.locator('details.order summary').all()) await summary.click();
                for (const violation of await violations(look)) found.push(`${name} ${language} ${what}: ${violation}`);
                const wide = await look.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
                if (wide > 0) found.push(`${name} ${language} ${what}: ${wide} px too wide`);
                if (shots) await look.screenshot({ path: `${shots}/${what}-${name}-${language}.png`, fullPage: true });
            }
        }
        await context.close();
    }
    assert.deepEqual(found, []);
});

await run(async () => {
    await browser.close();
    await city.stop();
    await receiver.down();
});
