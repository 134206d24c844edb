# METADATA
# scope: package
# title: Secrets do not leave
# description: |
#   Configured secrets, private keys and card numbers in any argument, in any usual encoding. The policy service finds them
#   (services/policy/src/scan/dlp.ts); the thing itself is never in a fact.
package agentgate.packs.dlp

import data.agentgate.packs.verdict

complete if not data.policy.packs.dlp

complete if is_array(input.facts.dlp)

refusals := [verdict.refused(concat("/", ["dlp", object.get(finding, "kind", "unknown")]), concat("", [
	place_of(object.get(finding, "pointer", "")), " holds ", object.get(a, object.get(finding, "kind", ""), "what is kept secret"),
	" (", object.get(finding, "name", "?"), "), which must not leave",
])) |
	data.policy.packs.dlp
	some finding in input.facts.dlp
]

a := {"secret": "a configured secret", "private_key": "a private key", "card": "a card number"}

place_of(pointer) := concat("", ["argument ", pointer]) if pointer != ""

place_of("") := "the arguments together"
