// Open /docs in a browser and use it as a person does, then report what was seen.
//
// On stdin: {"browser": path, "url": of the gateway, "token": or null, "pictures": folder or null}.
// On stdout: {"requests": every URL asked for, "complaints": of the page, "title", "operations",
// "answers": {"patch": {"status", "body"}, ...}}.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const DEADLINE_MS = 60_000;
const { browser: executablePath, url, token, pictures } = JSON.parse(readFileSync(0, 'utf8'));
const browser = await chromium.launch({
  executablePath,
  timeout: DEADLINE_MS,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
page.setDefaultTimeout(DEADLINE_MS);
const seen = { requests: [], complaints: [], answers: {} };
page.on('request', request => seen.requests.push(request.url()));
page.on('pageerror', error => seen.complaints.push(String(error)));
page.on('console', message => {
  // An answer that is an error is logged by the browser, and not meant here.
  if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) {
    seen.complaints.push(message.text());
  }
});

async function picture(name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

// Unfold an operation, send it with what stands in its form, and read the answer from the page.
async function execute(operation) {
  const block = page.locator(`#operations-Metrics-${operation}`);
  await block.locator('.opblock-summary-control').first().click();
  await block.locator('.execute').click();
  const answer = block.locator('.live-responses-table .response');
  await answer.waitFor();
  const status = await answer.locator('.response-col_status').innerText();
  // The body alone: beside it stands a button.
  const body = answer.locator('.response-col_description .highlight-code code');
  seen.answers[operation] = {
    status: Number.parseInt(status, 10),
    body: (await body.count()) ? await body.first().innerText() : '',
    url: await block.locator('.request-url pre').innerText(),
  };
  await picture(operation);
}

try {
  await page.goto(`${url}/docs`);
  await page.locator('.opblock').first().waitFor();
  seen.title = await page.locator('.title').first().innerText();
  seen.operations = await page.locator('.opblock-summary-path').allInnerTexts();
  await picture('page');
  if (token) {
    await page.locator('.auth-wrapper .authorize').first().click();
    await page.locator('.auth-container input').fill(token);
    await page.locator('.auth-btn-wrapper .authorize').click();
    await page.locator('.auth-btn-wrapper .btn-done').click();
  }
  for (const operation of ['metricsPatch', 'metricsFind', 'metricsDelete']) await execute(operation);
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
