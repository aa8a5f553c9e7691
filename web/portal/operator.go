package portal

// routeOperator has the pages of how the installation stands.
func (p *Portal) routeOperator() {}
