"""The proxies that the environment names.

Not left to aiohttp's ``trust_env``. That also reads ``~/.netrc``, in some versions on the event loop, and sends what
stands there to the hosts it names; it passes over proxies of a kind that it does not know; and its errors can repeat a
proxy's address, password and all.
"""

from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

from kamiwaza_sdk.exceptions import ConfigurationException

__all__ = ["proxy_for"]


def proxy_for(target: URL) -> URL | None:
    """Return the proxy to reach a URL by, with user information where it has some; `None` where there is to be none.

    Raises:
        ConfigurationException: The environment names one of a kind that cannot be used.
    """
    named = getproxies_environment().get(target.scheme)
    if named is None or any(map(proxy_bypass, _names(target))):
        return None
    try:
        proxy = URL(named)
    except ValueError:  # not chained: it may repeat what it was given
        proxy = URL()
    if proxy.scheme != "http" or not proxy.raw_host:
        setting = f"{target.scheme}_proxy"
        raise ConfigurationException(setting, "names no proxy that can be used; write http://host:port")
    return proxy


def _names(target: URL) -> tuple[str, str]:
    return target.host or "", f"{target.host_subcomponent}:{target.port}"
