// Prints how many parameters the numbers that Hugging Face shows come to, of each directory that is named:
// parse-safetensors-metadata of https://github.com/huggingface/huggingface.js, asked of the server that the first
// argument names. Run by ``tests.formats.count_oracles``.
import { parseSafetensorsMetadata } from "@huggingface/hub";

const [hubUrl, ...repos] = process.argv.slice(2);
// Our server of a hub has no /raw/.
const ask = (url, options) => fetch(String(url).replace("/raw/", "/resolve/"), options);
const found = {};
for (const repo of repos) {
	try {
		const parsed = await parseSafetensorsMetadata({ repo, hubUrl, computeParametersCount: true, fetch: ask });
		found[repo] = Object.values(parsed.parameterCount).reduce((sum, count) => sum + count, 0);
	} catch (error) {
		found[repo] = String(error);
	}
}
console.log(JSON.stringify(found));
