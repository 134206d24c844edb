# What packs beyond the baseline say: their rule is `<pack>/<rule>`.
package agentgate.packs.verdict

refused(rule, reason) := {"action": "deny", "code": "POLICY_DENIED", "reason": reason, "rule": rule}

held(rule, reason) := {"action": "require_approval", "code": "APPROVAL_REQUIRED", "reason": reason, "rule": rule}
