package portal

// The record's, and those of how the installation stands.
func init() {
	madeOfParts = append(madeOfParts, "answer", "casekind", "casestate", "event", "method", "standing", "stand", "use")
}
