// Make calls of SAP's JavaScript client and report how each of them ended.
//
// On stdin: {"destination": ..., "calls": [{"operation": ..., "parameters": [...]}, ...]}.
// Written to the file that the argument names, as the client logs to stdout: a list of
// {"status": ..., "value": ...} as `execute` returns it, or {"status": ..., "error": ...}.
import { readFileSync, writeFileSync } from 'node:fs';
import { MetricsApi } from '@sap-ai-sdk/ai-api';

const { destination, calls } = JSON.parse(readFileSync(0, 'utf8'));
const results = [];
for (const { operation, parameters } of calls) {
  try {
    const value = await MetricsApi[operation](...parameters).execute(destination);
    results.push({ value });
  } catch (error) {
    const answer = error.cause?.response ?? error.cause?.cause?.response ?? error.response;
    if (answer === undefined) throw error;
    results.push({ status: answer.status, error: answer.data });
  }
}
writeFileSync(process.argv[2], JSON.stringify(results));
