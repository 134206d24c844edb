# METADATA
# scope: package
# title: Where calls may lead
# description: |
#   Hosts in links and addresses: none that is private, none of metadata services, none that programs read differently; the
#   configuration's lists. After untrusted and private data were read, no host that the purpose does not name.
package agentgate.packs.egress

import data.agentgate.packs.tool
import data.agentgate.packs.verdict

complete if not data.policy.packs.egress

complete if {
	is_array(input.facts.hosts)
	is_array(input.session.taint)
	is_boolean(data.policy.egress.only_listed)
}

refusals := [verdict.refused(concat("/", ["egress", rule]), concat("", [
	"argument ", host.pointer, " leads to ", host.host, ", ", says[rule],
])) |
	data.policy.packs.egress
	some host in input.facts.hosts
	rule := rule_of(host)
]

says := {
	"metadata": "where machines keep their credentials",
	"unclear": "which programs would read differently",
	"denied": "which the configuration denies",
	"private": "which is not a public host",
	"unlisted": "which is not in the configuration's list",
}

rule_of(host) := "metadata" if {
	host.class == "metadata"
} else := "unclear" if {
	not host.class in {"public", "private"}
} else := "denied" if {
	not host.list in {"allowed", "unlisted"}
} else := "private" if {
	host.class == "private"
	host.list != "allowed"
} else := "unlisted" if {
	data.policy.egress.only_listed
	host.list != "allowed"
}

approvals := [verdict.held("egress/tainted", concat("", [
	"argument ", host.pointer, " leads to ", host.host,
	", which the purpose does not name, after untrusted text and private data were read",
])) |
	data.policy.packs.egress
	tool.acts
	"untrusted-read" in input.session.taint
	"private-read" in input.session.taint
	some host in input.facts.hosts
	not host.mail
	not host.in_purpose
]
