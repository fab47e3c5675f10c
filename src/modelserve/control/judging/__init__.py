"""The judge as an HTTP service, for deployers that split traffic by themselves."""
