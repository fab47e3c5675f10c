"""The demo: two models, six versions, real traffic; what is good is promoted and what is bad is not."""
