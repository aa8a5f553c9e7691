package portal

// routeAuditor has the pages of the record.
func (p *Portal) routeAuditor() {}
